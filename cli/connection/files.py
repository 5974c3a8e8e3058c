"""The files that say who asks, and who is trusted: looked at before anything is sent."""

import re
from pathlib import Path
from typing import Final

from cli.connection.endpoint import Endpoint, EndpointRefused
from formats.pem import PemRefused, read_certificates, require_key_of

_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")


def check_files(endpoint: Endpoint) -> None:
    """Raises EndpointRefused if a file of it cannot be read, or does not hold what it must."""
    ca = _read(endpoint.tls_ca, "--tls-ca")
    certificate = _read(endpoint.tls_cert, "--tls-cert")
    key = _read(endpoint.tls_key, "--tls-key")
    try:
        if ca is not None:
            read_certificates(ca, f"--tls-ca: {endpoint.tls_ca}")
        if certificate is not None and key is not None:
            own, *_ = read_certificates(certificate, f"--tls-cert: {endpoint.tls_cert}")
            require_key_of(own, key, f"--tls-key: {endpoint.tls_key}")
    except PemRefused as error:
        raise EndpointRefused(error) from error
    if endpoint.token_file:
        _check_token(endpoint.token_file)


def _check_token(file: Path) -> None:
    content = (_read(file, "--token-file") or b"").strip()
    # No word of what it holds: it may be a secret, if no token.
    if not _TOKEN.fullmatch(content):
        raise EndpointRefused(f"--token-file: {file}: must hold a token and nothing else")


def _read(file: Path | None, option: str) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise EndpointRefused(f"{option}: {file}: {error.strerror}") from error
