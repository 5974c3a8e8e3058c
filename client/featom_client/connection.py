"""Which server to ask, over what, and as whom."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from featom_client.retries import Timeouts

Token = str | Callable[[], str] | None
"""A token, or what gives the current one: that is asked before each attempt of a call."""

LOOPBACK: Final = ("127.", "localhost", "[::1]", "unix:", "ipv4:127.", "ipv6:[::1]")
MAX_ANSWER_BYTES: Final = 128 * 2**20
_MILLISECONDS: Final = 1_000


@dataclass(frozen=True)
class Connection:
    """How to reach the servers of one store.

    `target` is HOST:PORT, or any other form that gRPC knows, such as `dns:///featom-pods:50051`.
    TLS is spoken if any of its options is given; `ca`, `certificate` and `key` are files in PEM.
    `one_address` says that all servers are behind one address, such as that of a load balancer.
    """

    target: str
    tls: bool = False
    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None
    token: Token = None
    one_address: bool = False

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("no target: give one, or set FEATOM_TARGET")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key must be given together")
        if self.token is not None and not self.secure and not self.on_loopback:
            raise ValueError(
                f"the token would go to {self.target} unencrypted: give ca, or tls=True"
            )

    @property
    def secure(self) -> bool:
        return self.tls or any((self.ca, self.certificate, self.server_name))

    @property
    def on_loopback(self) -> bool:
        return self.target.startswith(LOOPBACK)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: plaintext. The files are read now. Raises OSError."""
        if not self.secure:
            # A token goes to this machine alone, whatever the target's name leads to.
            return None if self.token is None else self._local()
        ca, key, certificate = (
            Path(file).read_bytes() if file else None
            for file in (self.ca, self.key, self.certificate)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _local(self) -> grpc.ChannelCredentials:
        """Plaintext, which gRPC lets connect to loopback and sockets of files alone."""
        kinds = grpc.LocalConnectionType
        is_file = self.target.startswith("unix:")
        return grpc.local_channel_credentials(kinds.UDS if is_file else kinds.LOCAL_TCP)

    def options(self, timeouts: Timeouts) -> list[tuple[str, Any]]:
        """The options of the channel."""
        options: list[tuple[str, Any]] = [
            ("grpc.service_config", json.dumps(self.service_config())),
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            # One attempt to connect lasts no longer, and the next one comes soon.
            ("grpc.min_reconnect_backoff_ms", round(timeouts.connect * _MILLISECONDS)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            # A server that has vanished without a word is found out; no faster than servers allow.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        if self.on_loopback:
            options.append(("grpc.enable_http_proxy", 0))
        return options

    def service_config(self) -> dict[str, Any]:
        """Calls go round over all servers that are well.

        That of deploy/client without its retries: the client makes them, with a time-out for each.
        """
        if self.one_address:
            return {}
        return {
            "loadBalancingConfig": [{"round_robin": {}}],
            "healthCheckConfig": {"serviceName": "featom.v1.FeatureStoreService"},
        }

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """What goes with each attempt of a call."""
        if self.token is None:
            return None
        token = self.token() if callable(self.token) else self.token
        return (("authorization", f"Bearer {token}"),)


def from_environment(given: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    """What is given, and else what the variables of `environment` say.

    FEATOM_TARGET, FEATOM_CLIENT_TLS, FEATOM_CLIENT_TLS_CA, FEATOM_CLIENT_TLS_CERT,
    FEATOM_CLIENT_TLS_KEY, FEATOM_CLIENT_TLS_SERVER_NAME, FEATOM_CLIENT_TOKEN_FILE (read for each
    attempt, so that it may change) and FEATOM_CLIENT_ONE_ADDRESS.
    Raises ValueError.
    """
    said: dict[str, Any] = {
        "target": environment.get("FEATOM_TARGET", ""),
        "tls": _flag(environment, "FEATOM_CLIENT_TLS"),
        "ca": environment.get("FEATOM_CLIENT_TLS_CA"),
        "certificate": environment.get("FEATOM_CLIENT_TLS_CERT"),
        "key": environment.get("FEATOM_CLIENT_TLS_KEY"),
        "server_name": environment.get("FEATOM_CLIENT_TLS_SERVER_NAME"),
        "token": _token_in(environment.get("FEATOM_CLIENT_TOKEN_FILE")),
        "one_address": _flag(environment, "FEATOM_CLIENT_ONE_ADDRESS"),
    }
    return Connection(**said | {name: value for name, value in given.items() if value is not None})


def _flag(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").lower()
    if text not in {"", "0", "1", "true", "false"}:
        raise ValueError(f"{name} must be true or false, not {text!r}")
    return text in {"1", "true"}


def _token_in(file: str | None) -> Token:
    return None if file is None else lambda: Path(file).read_text("ascii").strip()
