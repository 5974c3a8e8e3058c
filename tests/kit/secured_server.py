"""A server with everything on that keeps strangers out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest

from featom.v1.feature_store_pb2 import ListAggregatesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.kit.authority import Authority, Issued
from tests.kit.issuer import AUDIENCE, ISSUER, Issuer, service_account
from tests.kit.serving import Server, serving

HANDSHAKE_TIMEOUT: Final = 1.0
CONNECTION_AGE: Final = 1.0

OWNER: Final = service_account("owner")
READER: Final = service_account("reader")
NOBODY: Final = service_account("nobody")

GRANTS: Final = f"""
grants:
  - principals: ["jwt:{OWNER}", "uri:spiffe://test/owner"]
    read: ["*"]
    write: ["*"]
    admin: ["*"]
  - principals: ["jwt:{READER}"]
    read: [card]
    write: [log]
  - principals: ["cn:client"]
    read: [nothing]
"""


@dataclass
class Fortress:
    """The server, and what one needs to get in."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    issuer: Issuer = field(default_factory=Issuer)
    server: Server = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.authority.issue("client")
        self.client_files = self.client.write(self.folder / "client")
        self.audit_log = self.folder / "audit.jsonl"
        self.authorization = self.folder / "authorization.yaml"
        self.jwks = self.folder / "jwks.json"
        self.authorization.write_text(GRANTS)
        self.jwks.write_bytes(self.issuer.key_set())
        self.client_ca = self.folder / "ca.crt"
        self.client_ca.write_bytes(self.authority.certificate)
        # As Kubernetes mounts a secret: files are links into a folder that is swapped.
        for name in ("tls.crt", "tls.key"):
            (self.folder / name).symlink_to(f"..data/{name}")
        self.swap_certificate("server-1")

    @contextmanager
    def serving(self, dsn: str, **settings: object) -> Iterator["Fortress"]:
        """Serve while the block runs; `settings` are more than these.

        Spans are recorded and go nowhere: no collector is there to take them.
        """
        given: dict[str, Any] = {
            "tls_cert": self.folder / "tls.crt",
            "tls_key": self.folder / "tls.key",
            "tls_client_ca": self.client_ca,
            "auth": "mtls,jwt",
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
            "jwt_jwks": self.jwks,
            "authorization": self.authorization,
            "audit_log": self.audit_log,
            "metrics_listen": "127.0.0.1:0",
            "tracing": True,
            "handshake_timeout": HANDSHAKE_TIMEOUT,
            "max_connection_age": CONNECTION_AGE,
        } | settings
        server = serving(dsn, credentials=self.credentials(self.client), **given)
        with ExitStack() as running:
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("OTEL_TRACES_EXPORTER", "none")
                self.server = running.enter_context(server)
            yield self

    def swap_certificate(self, common_name: str) -> None:
        """Replace the server's certificate in one step."""
        self.authority.issue(common_name).write(self.folder / common_name)
        (self.folder / "..new").symlink_to(common_name)
        (self.folder / "..new").rename(self.folder / "..data")

    def credentials(self, client: Issued | None) -> grpc.ChannelCredentials:
        if client is None:
            return grpc.ssl_channel_credentials(self.authority.certificate)
        return grpc.ssl_channel_credentials(
            self.authority.certificate, client.key, client.certificate
        )

    def channel(self, client: Issued | None = None, **options: int) -> grpc.Channel:
        """A connection that shows the certificate of `client`, which may do next to nothing."""
        return grpc.secure_channel(
            self.server.address,
            self.credentials(client or self.client),
            [(f"grpc.{name}", value) for name, value in options.items()],
        )

    def as_caller(self, subject: str, **claims: Any) -> list[tuple[str, str]]:
        """The metadata of a call on somebody's behalf."""
        return bearer(self.issuer.token(subject, **claims))

    @property
    def memory(self) -> int:
        """Bytes of the server's process that are resident."""
        return psutil.Process(self.server.process.pid).memory_info().rss

    def is_well(self) -> bool:
        """Whether an owner is answered."""
        with self.channel() as channel:
            store: Any = FeatureStoreServiceStub(channel)
            request = ListAggregatesRequest(entity_type="nothing")
            store.ListAggregates(request, timeout=20, metadata=self.as_caller(OWNER))
        return self.server.process.poll() is None


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]
