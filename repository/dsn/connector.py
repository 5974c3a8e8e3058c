"""The one way in which connections are made: by servers, by their probe and by migrations."""

import asyncio
import os
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from repository.credentials import Password
from repository.dsn.encryption import driver_dsn, system_context
from repository.dsn.target import Host, Target, target_of
from repository.sessions.refusals import FormerPrimary, OnStandby, ReadOnly, SessionRefused

_PASSWORD_SECONDS: Final = 6.0
"""For asking where the password comes from."""

# libpq's keywords, and what the operating system calls them.
_SOCKET_OPTIONS: Final = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


class HostUnfit(Exception):
    """This host answers and cannot be used, another one may be; the message says why, such as
    `is a standby`."""


_NEXT_HOST: Final = (
    OSError,
    TimeoutError,
    HostUnfit,
    OnStandby,
    FormerPrimary,
    ReadOnly,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class CannotConnect(OSError):
    """No host could be used."""

    def __init__(self, failures: Sequence[tuple[Host, Exception]]) -> None:
        super().__init__("; ".join(f"{host}: {_said(error)}" for host, error in failures))
        sqlstates = [getattr(error, "sqlstate", None) or "" for _, error in failures]
        self.sqlstate = next(filter(None, sqlstates), "")
        """What a host said that answered; empty if none did."""
        unfit = [error for _, error in failures if isinstance(error, HostUnfit)]
        self.why = f"its host {unfit[0]}" if unfit else ""
        """Why a host that let us in cannot be used, for people."""
        self.may_appear = any(_may_appear(error) for _, error in failures)
        """Whether a host was not there, and may be there soon: its name did not resolve, nobody
        listened or answered, or it was starting up."""


class Connector:
    """Makes connections to the first host of a DSN that can be used, each in bounded time."""

    def __init__(self, dsn: str, password: Password | None = None) -> None:
        """Connects to nothing yet. `password` takes the place of the DSN's. Raises DsnRefused."""
        self._target = target_of(dsn, os.environ)
        self._password = password
        self._last = self._target.hosts[0]

    @property
    def unused(self) -> Sequence[str]:
        """What the DSN says and makes no difference, and why, in words."""
        return self._target.unused

    @property
    def database(self) -> str:
        """The database and where it may be, for people; without the role and its password."""
        return f"{self._target.database} at {', '.join(map(str, self._target.hosts))}"

    @property
    def seconds(self) -> float:
        """What `connect` takes at most."""
        return len(self._target.hosts) * self._target.connect_timeout + _PASSWORD_SECONDS

    @property
    def host(self) -> str:
        """Which host let us in last; before that, the first one."""
        return str(self._last)

    async def connect(
        self,
        settings: Mapping[str, str],
        check: Callable[[Any], Awaitable[None]] | None = None,
        kind: type[Any] = asyncpg.Connection,
    ) -> Any:
        """A connection of a kind, with these settings of the session.

        `check` is asked about each connection, in the time that its host has; what it refuses with
        HostUnfit or with an error of the driver another host may do. Raises CannotConnect if none
        does, OSError if there is no password, and what else `check` raises.
        """
        target = self._target
        password: str | None = target.password
        if self._password is not None:
            async with asyncio.timeout(_PASSWORD_SECONDS):
                password = await self._password()
        failures: list[tuple[Host, Exception]] = []
        for host in self._in_order():
            try:
                async with asyncio.timeout(target.connect_timeout):
                    connection = await self._connect(host, password, settings, kind)
                    await self._check(connection, check)
            except _NEXT_HOST as error:
                failures.append((host, error))
            else:
                self._last = host
                return connection
        (_, first), *others = failures
        if not others and isinstance(first, SessionRefused):
            raise first
        raise CannotConnect(failures) from failures[-1][1]

    def _in_order(self) -> Sequence[Host]:
        hosts = self._target.hosts
        if self._target.shuffle:
            return random.sample(hosts, len(hosts))
        # The one that was right the last time comes first: it saves waiting for others again.
        return sorted(hosts, key=lambda host: host != self._last)

    async def _connect(
        self, host: Host, password: str | None, settings: Mapping[str, str], kind: type[Any]
    ) -> Any:
        target = self._target
        options = {"options": target.options} if target.options else {}
        return await asyncpg.connect(
            driver_dsn(target.encryption),
            host=host.name,
            port=host.port,
            user=target.user,
            password=password,
            passfile=target.passfile,
            database=target.database,
            ssl=system_context(target.encryption),
            # Looked at here, so that each host has its time.
            target_session_attrs=SessionAttribute.any,
            timeout=target.connect_timeout,
            max_cached_statement_lifetime=0,  # statements are the same ones all the time
            connection_class=kind,
            server_settings={**options, **settings},
        )

    async def _check(self, connection: Any, check: Callable[[Any], Awaitable[None]] | None) -> None:
        try:
            self._keep_alive(connection)
            # Told before much is asked. Where there is no other host, `check` has its own words.
            if check is None or len(self._target.hosts) > 1:
                await _require_primary(connection, self._target)
            if check is not None:
                await check(connection)
        except BaseException:
            # Not closed: the driver would take leave, and wait for an answer.
            connection.terminate()
            raise

    def _keep_alive(self, connection: Any) -> None:
        """As libpq has it. The driver keeps its socket to itself."""
        link = connection._transport.get_extra_info("socket")
        wanted = self._target.keepalives
        if link is None or link.family == socket.AF_UNIX:
            return
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, wanted["keepalives"])
        for keyword, name in _SOCKET_OPTIONS.items():
            option = getattr(socket, name, None)
            if option is not None and wanted[keyword]:
                link.setsockopt(socket.IPPROTO_TCP, option, wanted[keyword])


async def _require_primary(connection: Any, target: Target) -> None:
    """Servers write, and migrations do. A host tells what it is when it lets somebody in."""
    told = connection.get_settings()
    standby = getattr(told, "in_hot_standby", None)
    if standby is None:  # a pooler may keep it to itself
        standby = "on" if await connection.fetchval("SELECT pg_is_in_recovery()") else "off"
    if standby == "on":
        raise HostUnfit("is a standby")
    if target.read_write and getattr(told, "default_transaction_read_only", "off") == "on":
        raise HostUnfit("is read-only")


def _may_appear(error: Exception) -> bool:
    # A certificate that is refused, though it is an OSError too, is refused again.
    not_there = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    return not_there or isinstance(error, asyncpg.CannotConnectNowError)


def _said(error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
