"""The way to a server: its address, TLS and the token."""

import base64
import binascii
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cli.connection.endpoint import Endpoint
from cli.connection.handshake import handshake_context, what_tls_says
from cli.doctor.findings import Finding, ok, problem, unknown, warning
from cli.output.values import printable

_SECONDS: Final = 5.0
_SOON: Final = timedelta(days=14)


def look_at_connection(endpoint: Endpoint) -> Iterator[Finding]:
    """A finding for each thing; ends with the first problem that leaves nothing more to see."""
    host = endpoint.host
    if host is None:
        yield unknown(
            "address",
            f"{endpoint.target} is not HOST:PORT, so gRPC alone knows where it leads",
            "To have the address and TLS looked at name one server, as HOST:PORT.",
        )
    else:
        port = int(endpoint.target.rpartition(":")[2])
        found = list(_look_at_address(host, port))
        yield from found
        if not any(each.check == "connection" and each.verdict == "ok" for each in found):
            return
        yield _look_at_tls(endpoint, host, port)
    if endpoint.token_file:
        yield _look_at_token(endpoint)


def _look_at_address(host: str, port: int) -> Iterator[Finding]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield problem(
            "address",
            f"{host} has no address: {error.strerror}",
            "Mend the name in --target or FEATOM_TARGET, or DNS; from outside a cluster a Service"
            " of it has no name.",
        )
        return
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    yield ok("address", f"{host} is {', '.join(addresses)}")
    refused = {address: said for address in addresses if (said := _refusal(address, port))}
    if len(refused) == len(addresses):
        yield problem(
            "connection",
            "; ".join(f"{address}: {said}" for address, said in refused.items()),
            f"See that a server runs there and listens on port {port} (`featom serve --listen`),"
            " and that no firewall or NetworkPolicy is in between.",
        )
        return
    yield ok("connection", f"port {port} is open")
    for address, said in refused.items():
        yield warning(
            "connection",
            f"{address}: {said}",
            "The others answer; see to this one, or take its address out of DNS.",
        )


def _refusal(address: str, port: int) -> str | None:
    try:
        with socket.create_connection((address, port), _SECONDS):
            return None
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    except OSError as error:
        return error.strerror or str(error)


def _look_at_tls(endpoint: Endpoint, host: str, port: int) -> Finding:
    wrong = what_tls_says(endpoint)
    if wrong:
        return problem("tls", wrong, "docs/security.md has which files which side needs.")
    if not endpoint.secure:
        if endpoint.on_loopback:
            return ok("tls", "none, and none is needed on loopback")
        return warning(
            "tls",
            "none: whoever is in between reads and changes what is sent",
            "Give the server --tls-cert and --tls-key, and clients --tls-ca: docs/security.md.",
        )
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            handshake_context(endpoint).wrap_socket(
                plain, server_hostname=endpoint.tls_server_name or host
            ) as encrypted,
        ):
            certificate: Any = encrypted.getpeercert() or {}
            return _expiry(certificate, encrypted.version() or "TLS")
    except OSError as error:
        return unknown("tls", f"no certificate was seen: {error}")


def _expiry(certificate: dict[str, Any], version: str) -> Finding:
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    names = ", ".join(name for _, name in certificate.get("subjectAltName", ()))
    said = f"{version}, a certificate for {names}, valid until {ends:%Y-%m-%d}"
    if ends - datetime.now(UTC) < _SOON:
        return warning("tls", said, "Renew it; the server reads it anew without a restart.")
    return ok("tls", said)


def _look_at_token(endpoint: Endpoint) -> Finding:
    """What it claims to be: whether that is true the server knows."""
    assert endpoint.token_file is not None
    claims = _claims(endpoint.token_file.read_text("ascii", "replace").strip())
    if claims is None:
        return unknown("token", "is no JWT, so nothing can be said of it")
    who = printable(f"{claims.get('sub')} by {claims.get('iss')}")
    expiry = claims.get("exp")
    if not isinstance(expiry, (int, float)):
        return warning("token", f"{who}, and never expires", "The server refuses one like that.")
    ends = datetime.fromtimestamp(expiry, UTC)
    if ends < datetime.now(UTC):
        return problem("token", f"{who}, expired on {ends:%Y-%m-%d %H:%M} UTC", "Fetch a new one.")
    return ok("token", f"{who}, valid until {ends:%Y-%m-%d %H:%M} UTC")


def _claims(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None
