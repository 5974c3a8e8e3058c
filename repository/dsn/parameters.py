"""libpq's parameters, and what becomes of each here: honoured, accepted as it is, or refused.

A parameter that a DSN names and nobody honours would be a promise broken in silence: `require_auth`
or `channel_binding=require` are asked for by who relies on them. So there is no third way.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Parameter(NamedTuple):
    """What becomes of a parameter."""

    variable: str | None = None
    """libpq's variable of the environment for it."""
    only: tuple[str, ...] = ()
    """The values that it may have; empty: others look at its value."""
    refused: str = ""
    """Why it is refused, whatever its value or if that is not one of `only`; what to do instead."""
    unused: str = ""
    """Why its value is not used, if it is accepted and makes no difference."""


_OWN_NAME: Final = "sessions are named by what they do, so that migrations can tell servers"
_NO_GSS: Final = "there is no encryption by GSSAPI: use sslmode"
_NO_OAUTH: Final = "the driver cannot do OAuth: use a password, or FEATOM_PASSWORD_FROM=entra"
_NO_KEYS: Final = "the driver takes no SCRAM keys: give the password"
_NO_SERVICE: Final = "services are not looked up: name host, port, dbname and user"
_BY_DSN: Final = "the driver cannot: encrypt and verify with sslmode=verify-full instead"
_TLS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_BOOLEAN: Final = ("0", "1")

PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(
    {
        # Where the database is, and which.
        "host": Parameter("PGHOST"),
        "hostaddr": Parameter("PGHOSTADDR"),
        "port": Parameter("PGPORT"),
        "dbname": Parameter("PGDATABASE"),
        "service": Parameter("PGSERVICE", refused=_NO_SERVICE),
        "servicefile": Parameter("PGSERVICEFILE", refused=_NO_SERVICE),
        "target_session_attrs": Parameter(
            "PGTARGETSESSIONATTRS",
            only=("any", "primary", "read-write"),
            refused="all that connect here write, so they look for the primary",
        ),
        "load_balance_hosts": Parameter("PGLOADBALANCEHOSTS", only=("disable", "random")),
        # Who connects.
        "user": Parameter("PGUSER"),
        "password": Parameter("PGPASSWORD"),
        "passfile": Parameter("PGPASSFILE"),
        "require_auth": Parameter("PGREQUIREAUTH", refused=_BY_DSN),
        "requirepeer": Parameter("PGREQUIREPEER", refused="the driver does not ask who serves"),
        "channel_binding": Parameter(
            "PGCHANNELBINDING", only=("disable", "prefer"), refused=_BY_DSN
        ),
        "scram_client_key": Parameter(refused=_NO_KEYS),
        "scram_server_key": Parameter(refused=_NO_KEYS),
        "krbsrvname": Parameter("PGKRBSRVNAME"),
        "gsslib": Parameter("PGGSSLIB", only=("gssapi",)),
        "gssdelegation": Parameter("PGGSSDELEGATION", only=("0",), refused="nothing is delegated"),
        "oauth_issuer": Parameter(refused=_NO_OAUTH),
        "oauth_client_id": Parameter(refused=_NO_OAUTH),
        "oauth_client_secret": Parameter(refused=_NO_OAUTH),
        "oauth_scope": Parameter(refused=_NO_OAUTH),
        # The network.
        "connect_timeout": Parameter("PGCONNECT_TIMEOUT"),
        "keepalives": Parameter(only=_BOOLEAN),
        "keepalives_idle": Parameter(),
        "keepalives_interval": Parameter(),
        "keepalives_count": Parameter(),
        "tcp_user_timeout": Parameter(),
        # Encryption.
        "sslmode": Parameter(
            "PGSSLMODE", only=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
        ),
        "sslnegotiation": Parameter("PGSSLNEGOTIATION", only=("postgres", "direct")),
        "sslrootcert": Parameter("PGSSLROOTCERT"),
        "sslcert": Parameter("PGSSLCERT"),
        "sslkey": Parameter("PGSSLKEY"),
        "sslpassword": Parameter(),
        "sslcrl": Parameter("PGSSLCRL"),
        "sslcrldir": Parameter("PGSSLCRLDIR", refused="name one file with sslcrl"),
        "ssl_min_protocol_version": Parameter("PGSSLMINPROTOCOLVERSION", only=_TLS),
        "ssl_max_protocol_version": Parameter("PGSSLMAXPROTOCOLVERSION", only=_TLS),
        "sslcertmode": Parameter(
            "PGSSLCERTMODE", only=("allow",), refused="a certificate is shown if there is one"
        ),
        "sslcompression": Parameter("PGSSLCOMPRESSION", only=("0",), refused="nothing compresses"),
        "sslsni": Parameter("PGSSLSNI", only=("1",), refused="the name of the host is always sent"),
        "sslkeylogfile": Parameter(refused="keys are not logged: use the variable SSLKEYLOGFILE"),
        "gssencmode": Parameter("PGGSSENCMODE", only=("disable", "prefer"), refused=_NO_GSS),
        # The session.
        "options": Parameter("PGOPTIONS"),
        "application_name": Parameter("PGAPPNAME", unused=_OWN_NAME),
        "fallback_application_name": Parameter(unused=_OWN_NAME),
        "client_encoding": Parameter(
            "PGCLIENTENCODING",
            only=("auto", "UTF8", "utf8", "UTF-8", "utf-8"),
            refused="text is UTF-8 everywhere",
        ),
        "min_protocol_version": Parameter(
            "PGMINPROTOCOLVERSION", only=("3.0",), refused="the driver speaks 3.0"
        ),
        "max_protocol_version": Parameter(
            "PGMAXPROTOCOLVERSION", only=("3.0", "3.2", "latest"), refused="the driver speaks 3.0"
        ),
        "replication": Parameter(
            only=("false", "off", "no", "0"), refused="nothing here replicates"
        ),
    }
)


def problem_with(keyword: str, value: str) -> str | None:
    """Why a parameter cannot be used, in words; they name it, and never hold its value."""
    known = PARAMETERS.get(keyword)
    if known is None:
        return (
            f"{keyword} is no parameter of libpq;"
            " a setting of PostgreSQL goes into options=-c NAME=VALUE"
        )
    if known.only and value not in known.only:
        reason = f": {known.refused}" if known.refused else ""
        return f"{keyword} must be {' or '.join(known.only)}{reason}"
    if known.refused and not known.only:
        return f"{keyword} is not supported: {known.refused}"
    return None
