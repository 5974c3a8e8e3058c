"""The settings that are about security, and what may be wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

MODES: Final = ("mtls", "jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Who may do what, and how much of it."""

    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """Who vouches for clients; with it each of them needs a certificate."""
    auth: str = "none"
    """`none`, `mtls`, `jwt`, or both."""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks: str = ""
    """An https URL, or a file."""
    jwt_ca: Path | None = None
    authorization: Path | None = None
    audit_log: str | None = None
    """A file, or `-` for standard output."""
    max_waiting_bytes: int = 64 * 1_024 * 1_024
    max_unsent_bytes: int = 128 * 1_024 * 1_024
    max_streams: int = 1_000
    handshake_timeout: float = 10.0
    rate_per_principal: int = 0
    """Calls a second; 0: as many as there come."""

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
    if settings.rate_per_principal < 0:
        yield f"rate_per_principal must be 0 or more, not {settings.rate_per_principal}"


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
