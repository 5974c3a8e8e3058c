"""What is wrong with the settings that are about security."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from server.settings import Settings

MODES: Final = ("mtls", "jwt")


def security_problems(settings: "Settings") -> Iterator[str]:
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
    if settings.max_waiting_bytes < settings.max_message_bytes:
        yield "max_waiting_bytes must not be less than max_message_bytes"


def exposure(host: str, settings: "Settings") -> Iterator[str]:
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


def _token_problems(settings: "Settings") -> Iterator[str]:
    for name in ("jwt_issuer", "jwt_audience", "jwt_jwks"):
        if not getattr(settings, name):
            yield f"auth jwt needs {name}"
    address = urlsplit(settings.jwt_jwks)
    if address.scheme not in ("", "https") or (address.scheme and not address.hostname):
        yield "jwt_jwks must be an https URL or a file"
