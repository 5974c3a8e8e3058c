"""What a DSN says is honoured, or refused at the start by the name of the parameter."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from repository.dsn.encryption import FOR_THE_DRIVER, driver_dsn, system_context
from repository.dsn.parameters import PARAMETERS
from repository.dsn.target import CONNECT_TIMEOUT, DsnRefused, Host, Target, target_of
from tests.unit.dsn import libpq


def target(dsn: str, **environment: str) -> Target:
    return target_of(dsn, environment)


def problems(dsn: str, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(DsnRefused) as refused:
        target_of(dsn, environment or {})
    return str(refused.value)


def test_every_parameter_and_variable_of_libpq_has_its_place() -> None:
    known = libpq.variables()
    # A later libpq than the wheel's may read servicefile from the DSN too.
    ours = {keyword: parameter.variable for keyword, parameter in PARAMETERS.items()}
    assert ours.pop("servicefile") == "PGSERVICEFILE"
    assert ours == known


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://a/d", [("a", 5432)]),
        ("postgresql://a:1,b:2/d", [("a", 1), ("b", 2)]),
        ("postgresql://a,b:2/d", [("a", 5432), ("b", 2)]),
        ("host=a,b port=7", [("a", 7), ("b", 7)]),
        ("host=a,b port=1,2", [("a", 1), ("b", 2)]),
        ("host=/run/x port=6", [("/run/x", 6)]),
        ("postgresql://%2Frun%2Fx/d", [("/run/x", 5432)]),
        ("postgresql:///d?host=/run/x", [("/run/x", 5432)]),
        ("postgresql://[::1]:6/d", [("::1", 6)]),
        ("hostaddr=127.0.0.1", [("127.0.0.1", 5432)]),
        ("dbname=d", [(None, 5432)]),
    ],
)
def test_hosts_and_ports_go_together_as_with_libpq(
    dsn: str, hosts: list[tuple[str | None, int]]
) -> None:
    assert target(dsn).hosts == tuple(Host(*host) for host in hosts)


def test_what_the_dsn_does_not_say_the_environment_does() -> None:
    told = target(
        "host=a password=mine",
        PGHOST="b",
        PGPORT="6",
        PGUSER="u",
        PGDATABASE="d",
        PGPASSWORD="theirs",
        PGCONNECT_TIMEOUT="9",
        PGOPTIONS="-c a=b",
    )
    assert (told.hosts, told.user, told.database) == ((Host("a", 6),), "u", "d")
    assert (told.password, told.connect_timeout, told.options) == ("mine", 9.0, "-c a=b")


def test_what_is_empty_in_the_dsn_keeps_the_environment_out() -> None:
    assert target("host=a options=", PGOPTIONS="-c a=b").options is None


def test_what_nobody_says_is_as_with_libpq_but_for_a_bound_on_connecting() -> None:
    told = target("host=a user=u")
    assert told.database == "u"
    assert told.keepalives["keepalives"] == 1
    assert told.connect_timeout == CONNECT_TIMEOUT
    assert target("host=a connect_timeout=0").connect_timeout == CONNECT_TIMEOUT


def test_what_consoles_hand_out_is_understood() -> None:
    neon = (
        "postgresql://u:p%40ss@ep-x.example/d?sslmode=require&channel_binding=prefer"
        "&options=endpoint%3Dep-x&connect_timeout=10&keepalives=1&keepalives_idle=30"
    )
    told = target(neon)
    assert (told.password, told.options, told.connect_timeout) == ("p@ss", "endpoint=ep-x", 10.0)
    assert told.encryption == {"sslmode": "require"}
    assert told.keepalives["keepalives_idle"] == 30
    azure = "host=x.example port=5432 dbname=d user=u password='it\\'s' sslmode=require"
    assert target(azure).password == "it's"
    assert target("host=a gssencmode=disable client_encoding=UTF8 target_session_attrs=any")


def test_the_name_of_a_session_is_ours_and_that_is_said() -> None:
    (unused,) = target("host=a application_name=x").unused
    assert unused.startswith("application_name is not used: ")
    (unused,) = target("host=a", PGAPPNAME="x").unused
    assert unused.startswith("PGAPPNAME: application_name is not used: ")


REFUSED = {
    "pgbouncer=true": "pgbouncer is no parameter",
    "sslaccept=strict": "sslaccept is no parameter",
    "statement_timeout=5": "options=-c",
    "channel_binding=require": "channel_binding must be disable or prefer",
    "gssencmode=require": "gssencmode must be",
    "client_encoding=LATIN1": "client_encoding must be",
    "target_session_attrs=standby": "target_session_attrs must be any or primary or read-write",
    "target_session_attrs=prefer-standby": "target_session_attrs must be",
    "require_auth=scram-sha-256": "require_auth is not supported",
    "requirepeer=postgres": "requirepeer is not supported",
    "service=x": "service is not supported",
    "scram_client_key=x": "scram_client_key is not supported",
    "sslcrldir=/x": "sslcrldir is not supported",
    "replication=database": "replication must be",
    "oauth_issuer=x": "oauth_issuer is not supported",
    "sslmode=on": "sslmode must be disable or",
    "load_balance_hosts=yes": "load_balance_hosts must be",
    "connect_timeout=soon": "connect_timeout must be a whole number",
    "keepalives_idle=-1": "keepalives_idle must be a whole number",
    "tcp_user_timeout=1.5": "tcp_user_timeout must be a whole number",
    "keepalives=on": "keepalives must be 0 or 1",
    "port=x": "port must be numbers",
    "port=0": "port must be numbers",
    "port=65536": "port must be numbers",
    "port=1,2": "port has 2 numbers, and host has 1 hosts",
    "hostaddr=127.0.0.1": "hostaddr beside host",
    "sslrootcert=/no/such.crt": "sslrootcert is a file that cannot be read",
    "sslcert=/no/such.crt": "sslcert is a file that cannot be read",
    "sslkey=/no/such.key": "sslkey is a file that cannot be read",
    "sslmode=require sslrootcert=system": "sslrootcert=system needs sslmode=verify-full",
    "sslnegotiation=direct": "sslnegotiation=direct needs sslmode=require",
}


@pytest.mark.parametrize(("said", "problem"), REFUSED.items())
def test_what_cannot_be_honoured_is_refused_by_its_name(said: str, problem: str) -> None:
    assert problem in problems(f"host=h {said}")
    assert problems(f"host=h {said}").startswith("the DSN cannot be used: ")


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems("host=h pgbouncer=true channel_binding=require connect_timeout=x port=y")
    for name in ("pgbouncer", "channel_binding", "connect_timeout", "port"):
        assert name in found


def test_what_the_environment_asks_for_is_refused_by_the_name_of_the_variable() -> None:
    assert "PGSERVICE: service" in problems("host=h", {"PGSERVICE": "x"})
    assert "PGCHANNELBINDING: channel_binding" in problems(
        "host=h", {"PGCHANNELBINDING": "require"}
    )


def test_certificates_are_verified_with_some_roots_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "sslmode=verify-full needs sslrootcert" in problems("host=h sslmode=verify-full")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert target("host=h sslmode=verify-full").encryption == {"sslmode": "verify-full"}


@pytest.mark.parametrize("mode", ["", " sslmode=verify-full"])
def test_the_roots_of_the_operating_system_verify_the_host_by_its_name(mode: str) -> None:
    said = target(f"host=h sslrootcert=system ssl_min_protocol_version=TLSv1.3{mode}").encryption
    context = system_context(said)
    assert context is not None
    assert context.check_hostname
    assert context.minimum_version.name == "TLSv1_3"
    assert "sslrootcert" not in driver_dsn(said)
    assert system_context({"sslmode": "require"}) is None


def test_what_the_driver_reads_is_all_that_encrypts() -> None:
    encrypts = {keyword for keyword in PARAMETERS if keyword.startswith("ssl")}
    refused = {keyword for keyword in encrypts if PARAMETERS[keyword].refused}
    assert encrypts - refused <= set(FOR_THE_DRIVER)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3cret@h/d?x=1",
        "host=h password=s3cret port=x",
        "postgresql://u:s3cret/x@h/d",
        "host=h password=x sslpassword=s3cret sslmode=s3cret",
    ],
)
def test_no_refusal_tells_a_password(dsn: str) -> None:
    assert "s3cret" not in problems(dsn)


def test_no_target_shows_a_password() -> None:
    shown = repr(target("host=h password=s3cret sslpassword=s3cret"))
    assert "s3cret" not in shown
