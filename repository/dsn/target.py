"""What a DSN, and libpq's variables of the environment, say: where to connect, and how."""

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from repository.dsn.conninfo import NotADsn, parameters_in
from repository.dsn.encryption import FOR_THE_DRIVER, encryption_refused
from repository.dsn.parameters import PARAMETERS, problem_with

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for one host, unless the DSN says otherwise."""

_PORT: Final = 5432
_NUMBERS: Final = (
    "connect_timeout",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)


class DsnRefused(Exception):
    """This DSN cannot be used; the message says all that is wrong with it, without a value."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__(f"the DSN cannot be used: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class Host:
    """Where a PostgreSQL may listen."""

    name: str | None
    """A name, an address, or the folder of a socket; None: the usual folders, and localhost."""
    port: int

    def __str__(self) -> str:
        return f"{self.name or 'the local socket'}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, and how."""

    hosts: tuple[Host, ...]
    user: str
    database: str
    password: str | None = field(repr=False)
    passfile: str | None
    options: str | None
    """For the session, as `-c NAME=VALUE`."""
    encryption: Mapping[str, str] = field(repr=False)
    """Parameters for the driver, by libpq's keywords."""
    connect_timeout: float
    """Seconds for one host."""
    read_write: bool
    """Whether a primary that is set read-only is passed over too."""
    shuffle: bool
    """Whether the hosts are tried in any order."""
    keepalives: Mapping[str, int]
    """By libpq's keywords; 0: the operating system's own."""
    unused: tuple[str, ...]
    """What is said and makes no difference, and why, in words."""


def target_of(dsn: str, environment: Mapping[str, str]) -> Target:
    """What a DSN says, completed by libpq's variables. Raises DsnRefused."""
    try:
        said = parameters_in(dsn)
    except NotADsn as error:
        raise DsnRefused([str(error)]) from None
    given, origins = _completed(said, environment)
    problems = [
        f"{origins[keyword]}{problem}"
        for keyword, value in given.items()
        if (problem := problem_with(keyword, value))
    ]
    hosts, misplaced = _hosts(given)
    problems += [*misplaced, *_numbers_refused(given), *encryption_refused(given)]
    if problems:
        raise DsnRefused(problems)
    user = given.get("user") or getpass.getuser()
    return Target(
        hosts=hosts,
        user=user,
        database=given.get("dbname") or user,
        password=given.get("password"),
        passfile=given.get("passfile"),
        options=given.get("options"),
        encryption={keyword: given[keyword] for keyword in FOR_THE_DRIVER if keyword in given},
        connect_timeout=float(given.get("connect_timeout", 0)) or CONNECT_TIMEOUT,
        read_write=given.get("target_session_attrs") == "read-write",
        shuffle=given.get("load_balance_hosts") == "random",
        keepalives={
            # On unless it is said otherwise, as with libpq.
            "keepalives": int(given.get("keepalives", 1)),
            **{keyword: int(given.get(keyword, 0)) for keyword in _NUMBERS[1:]},
        },
        unused=tuple(
            f"{origins[keyword]}{keyword} is not used: {PARAMETERS[keyword].unused}"
            for keyword in given
            if PARAMETERS[keyword].unused
        ),
    )


def _completed(
    said: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters that have a value, and for each where a reader finds it."""
    given = {keyword: value for keyword, value in said.items() if value}
    origins = dict.fromkeys(given, "")
    for keyword, parameter in PARAMETERS.items():
        # An empty value in the DSN is none, but keeps that of the environment out.
        value = environment.get(parameter.variable or "")
        if value and keyword not in said:
            given[keyword] = value
            origins[keyword] = f"{parameter.variable}: "
    return given, origins


def _hosts(given: Mapping[str, str]) -> tuple[tuple[Host, ...], list[str]]:
    """The hosts with their ports, and what is wrong with them."""
    problems = []
    if "hostaddr" in given and "host" in given:
        problems.append("hostaddr beside host is not supported: give the address as host")
    names = given.get("host", given.get("hostaddr", "")).split(",")
    if any(name.startswith("@") for name in names):
        problems.append("host must not be an abstract socket")
    ports = given.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(names)
    # Not which one: behind a / that is not encoded, it is a part of the password.
    if not all(not port or _is_port(port) for port in ports):
        return (), [*problems, "port must be numbers from 1 to 65535"]
    if len(ports) != len(names):
        return (), [*problems, f"port has {len(ports)} numbers, and host has {len(names)} hosts"]
    hosts = zip(names, ports, strict=True)
    return tuple(Host(name or None, int(port or _PORT)) for name, port in hosts), problems


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 0 < int(text[:6]) < 2**16


def _numbers_refused(given: Mapping[str, str]) -> list[str]:
    return [
        f"{keyword} must be a whole number, 0 or more"
        for keyword in _NUMBERS
        if keyword in given and not (given[keyword].isascii() and given[keyword].isdecimal())
    ]
