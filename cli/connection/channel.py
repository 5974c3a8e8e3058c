"""The channel to a server: the one place where a command's TLS and token are made use of."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc

from cli.connection.endpoint import Endpoint, EndpointRefused
from formats.pem import PemRefused, read_certificates, require_key_of

# A definition and what it changes may be more than the 4 MiB that clients take.
_UNBOUNDED: Final = ("grpc.max_receive_message_length", -1)
# A server that has vanished without a word is found out, also while it owes an answer for minutes.
# It is no faster than servers allow: server/rpc/listening.py.
_KEEPALIVE: Final = (("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000))
# The check of a large type may outlive a connection, and goes on where it was cut off. What the
# commands send to the other service is a read, or has a request id.
_AGAIN: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": "featom.v1.EntityTypeService", "method": "ApplyEntityType"},
                {"service": "featom.v1.FeatureStoreService"},
            ],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")


def open_channel(endpoint: Endpoint) -> grpc.Channel:
    """Every call on it has a deadline. The files are read now. Raises EndpointRefused."""
    return grpc.intercept_channel(_open(endpoint), Deadline(endpoint.timeout))


def _open(endpoint: Endpoint) -> grpc.Channel:
    # What gRPC logs of a handshake that fails would stand between the lines of the command.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options: list[tuple[str, Any]] = [
        _UNBOUNDED,
        *_KEEPALIVE,
        ("grpc.service_config", json.dumps(_AGAIN)),
    ]
    if endpoint.tls_server_name:
        options.append(("grpc.ssl_target_name_override", endpoint.tls_server_name))
    if endpoint.on_loopback:
        options.append(("grpc.enable_http_proxy", 0))
    token = _token(endpoint.token_file) if endpoint.token_file else None
    if not endpoint.secure and token is None:
        return grpc.insecure_channel(endpoint.target, options)
    # Local credentials are plaintext that gRPC lets go to loopback alone.
    credentials = _tls(endpoint) if endpoint.secure else grpc.local_channel_credentials()
    if token is not None:
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(token)
        )
    return grpc.secure_channel(endpoint.target, credentials, options)


def check_files(endpoint: Endpoint) -> None:
    """Raises EndpointRefused if a file of it cannot be read, or does not hold what it must."""
    _tls(endpoint)
    if endpoint.token_file:
        _token(endpoint.token_file)


def _tls(endpoint: Endpoint) -> grpc.ChannelCredentials:
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
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _token(file: Path) -> str:
    content = (_read(file, "--token-file") or b"").strip()
    # No word of what it holds: it may be a secret, if no token.
    if not _TOKEN.fullmatch(content):
        raise EndpointRefused(f"--token-file: {file}: must hold a token and nothing else")
    return content.decode("ascii")


def _read(file: Path | None, option: str) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise EndpointRefused(f"{option}: {file}: {error.strerror}") from error


class Deadline(grpc.UnaryUnaryClientInterceptor):
    """Gives each call so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(_WithTimeout(client_call_details, self._seconds), request)


class _WithTimeout(grpc.ClientCallDetails):
    """The same call, with a time-out."""

    def __init__(self, details: Any, seconds: float) -> None:
        self.method = details.method
        self.timeout = seconds
        self.metadata = details.metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression
