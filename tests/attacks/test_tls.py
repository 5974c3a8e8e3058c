"""Who gets through a handshake, and with which certificate the server answers."""

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from featom.v1.feature_store_pb2 import ListAggregatesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.authority import Authority, Issued
from tests.serving import Server, serving

AUTHORITY = Authority()
CLIENT = AUTHORITY.issue("client")


def credentials(client: Issued | None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(AUTHORITY.certificate)
    return grpc.ssl_channel_credentials(AUTHORITY.certificate, client.key, client.certificate)


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Kubernetes mounts a secret: files are links into a folder that is swapped."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("tls.crt", "tls.key"):
        (folder / name).symlink_to(f"..data/{name}")
    swap(folder, "server-1")
    return folder


def swap(folder: Path, common_name: str) -> None:
    AUTHORITY.issue(common_name).write(folder / common_name)
    (folder / "..new").symlink_to(common_name)
    (folder / "..new").rename(folder / "..data")


@pytest.fixture(scope="module")
def server(attacked_database: str, mounted: Path) -> Iterator[Server]:
    (mounted / "ca.crt").write_bytes(AUTHORITY.certificate)
    with serving(
        attacked_database,
        credentials=credentials(CLIENT),
        tls_cert=mounted / "tls.crt",
        tls_key=mounted / "tls.key",
        tls_client_ca=mounted / "ca.crt",
    ) as started:
        yield started


def listing(channel: grpc.Channel) -> grpc.StatusCode:
    """How a call on this channel ends."""
    store: Any = FeatureStoreServiceStub(channel)
    try:
        store.ListAggregates(ListAggregatesRequest(entity_type="nothing"), timeout=5)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def certificate_of(server: Server, folder: Path) -> str:
    """The name on the certificate that the server shows to a new connection."""
    context = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
    certificate, key = CLIENT.write(folder / "client")
    context.load_cert_chain(certificate, key)
    context.check_hostname = False
    host, _, port = server.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    (name,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)


def test_a_client_with_a_certificate_of_the_authority_gets_through(server: Server) -> None:
    with grpc.secure_channel(server.address, credentials(CLIENT)) as channel:
        assert listing(channel) is grpc.StatusCode.OK


STRANGERS = {
    "without a certificate": None,
    "with one that has expired": AUTHORITY.issue("client", valid_for=timedelta(hours=-1)),
    "with one of another authority": Authority().issue("client"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_nobody_else_gets_through(stranger: Issued | None, server: Server) -> None:
    with grpc.secure_channel(server.address, credentials(stranger)) as channel:
        assert listing(channel) is grpc.StatusCode.UNAVAILABLE


def test_nobody_gets_through_in_plaintext(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        assert listing(channel) is grpc.StatusCode.UNAVAILABLE


def test_a_new_certificate_is_shown_without_a_restart(
    server: Server, mounted: Path, tmp_path: Path
) -> None:
    with grpc.secure_channel(server.address, credentials(CLIENT)) as old_connection:
        assert listing(old_connection) is grpc.StatusCode.OK
        assert certificate_of(server, tmp_path) == "server-1"
        swap(mounted, "server-2")
        latest = time.monotonic() + 10
        while certificate_of(server, tmp_path) != "server-2":
            assert time.monotonic() < latest, server.log
            time.sleep(0.1)
        assert listing(old_connection) is grpc.StatusCode.OK
    with grpc.secure_channel(server.address, credentials(CLIENT)) as new_connection:
        assert listing(new_connection) is grpc.StatusCode.OK
