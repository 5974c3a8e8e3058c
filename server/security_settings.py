"""The settings that are about security, and which of them do not fit together."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from server.setting import setting

MODES: Final = ("mtls", "jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Who may do what, and how much of it."""

    tls_cert: Path | None = setting(
        None,
        "The server's certificate, and those up to its CA, as PEM; read again when it changes.",
    )
    tls_key: Path | None = setting(None, "The key of the certificate, as PEM.")
    tls_client_ca: Path | None = setting(
        None, "CAs as PEM: clients must show a certificate of one of them (mTLS)."
    )
    auth: str = setting(
        "none",
        "How callers prove who they are: none, mtls (a certificate), jwt (a token), or mtls,jwt."
        " With several, a token counts before the certificate.",
    )
    jwt_issuer: str = setting("", "The iss that tokens must have.")
    jwt_audience: str = setting("", "The aud that tokens must have.")
    jwt_jwks: str = setting("", "The issuer's keys, a JSON Web Key Set: an https URL, or a file.")
    jwt_ca: Path | None = setting(None, "CAs as PEM, for that URL.", unset="those of the system")
    authorization: Path | None = setting(
        None, "Who may do what, in YAML; read again when it changes. Needed with --auth."
    )
    audit_log: str | None = setting(
        None, "A file, or - for standard output: a line of JSON for each call that changes data."
    )
    max_waiting_bytes: int = setting(
        64 * 1_024 * 1_024,
        "Bytes of requests that may be unanswered before callers get UNAVAILABLE.",
        above=0,
    )
    max_unsent_bytes: int = setting(
        128 * 1_024 * 1_024,
        "Bytes of answers that callers have not taken yet; half of them for answers above a"
        " mebibyte. More wait, and get UNAVAILABLE in the end.",
        above=0,
    )
    max_streams: int = setting(
        1_000, "Calls at a time on one connection.", above=0, at_most=2**31 - 1
    )
    handshake_timeout: float = setting(
        10.0, "Seconds that a new connection has to say what it is.", above=0
    )
    rate_per_principal: int = setting(
        0,
        "Calls a second, and messages of streams, of one caller; 0 for any number.",
        at_least=0,
    )

    @property
    def auth_modes(self) -> frozenset[str]:
        """The ways to prove who one is; none: nobody is asked."""
        return frozenset(mode.strip() for mode in self.auth.split(",")) - {"none"}


def security_problems(settings: SecuritySettings) -> Iterator[str]:
    """Each in words; none if all fits together."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        yield "tls_cert and tls_key must be set together"
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        yield "tls_client_ca needs tls_cert and tls_key"
    modes = settings.auth_modes
    if not modes <= set(MODES):
        yield f"auth must be none, or of {', '.join(MODES)}, not {settings.auth!r}"
    if "mtls" in modes and settings.tls_client_ca is None:
        yield "auth mtls needs tls_client_ca"
    if "jwt" in modes:
        yield from _token_problems(settings)
    if modes and settings.authorization is None:
        yield "auth needs authorization, which says who may do what"
    if not modes and settings.authorization is not None:
        yield "authorization needs auth: without it nobody is known"
    if not modes and settings.rate_per_principal:
        yield "rate_per_principal needs auth: without it nobody is known"


def exposure(host: str, settings: SecuritySettings) -> Iterator[str]:
    """What is wrong with listening on a host beyond loopback."""
    exposed = []
    if not settings.auth_modes:
        # A certificate alone lets its holder in, and names nobody whom grants could allow less.
        who = "can reach it" if settings.tls_client_ca is None else "has a certificate of that CA"
        exposed.append(f"to everyone who {who}")
    if settings.tls_cert is None:
        exposed.append("unencrypted")
    if exposed:
        yield (
            f"listening on {host} offers everything {', '.join(exposed)}:"
            " --allow-insecure must say that this is meant"
        )


def _token_problems(settings: SecuritySettings) -> Iterator[str]:
    for name in ("jwt_issuer", "jwt_audience", "jwt_jwks"):
        if not getattr(settings, name):
            yield f"auth jwt needs {name}"
    address = urlsplit(settings.jwt_jwks)
    if address.scheme not in ("", "https") or (address.scheme and not address.hostname):
        yield "jwt_jwks must be an https URL or a file"
