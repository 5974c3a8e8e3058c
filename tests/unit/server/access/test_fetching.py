"""A document by HTTPS: from whom it should come, all of it, in time, or not at all."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from server.access import key_sources as module
from server.access.key_sources import MAX_FETCHED_BYTES, fetching
from tests.kit.authority import Authority

AUTHORITY = Authority()
DOCUMENT = b'{"keys": []}'


class Issuer(BaseHTTPRequestHandler):
    """Answers well at /keys, and otherwise elsewhere."""

    def do_GET(self) -> None:  # as http.server names it
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/keys")
            self.end_headers()
            return
        self.send_response(200 if self.path != "/broken" else 503)
        self.end_headers()
        if self.path == "/slow":
            for _ in range(1_000):
                self.wfile.write(b" ")
                time.sleep(0.05)
        self.wfile.write(b" " * 2 * MAX_FETCHED_BYTES if self.path == "/large" else DOCUMENT)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with suppress(OSError):  # who asked had enough
            super().handle()


class QuietServer(ThreadingHTTPServer):
    """Says nothing of those who do not trust it."""

    def handle_error(self, request: object, client_address: object) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("issuer")
    AUTHORITY.issue("issuer").write(folder)
    (folder / "ca.crt").write_bytes(AUTHORITY.certificate)
    (folder / "other.crt").write_bytes(Authority().certificate)
    return folder


@pytest.fixture(scope="module")
def issuer(folder: Path) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), Issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_document_is_fetched(issuer: str, folder: Path) -> None:
    assert fetching(f"{issuer}/keys?x=1", folder / "ca.crt")() == DOCUMENT


@pytest.mark.parametrize(
    ("path", "why"),
    [("/moved", "302"), ("/broken", "503"), ("/large", "larger than"), ("/slow", "more than 0.3")],
)
def test_what_is_not_the_document_is_refused(
    path: str, why: str, issuer: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FETCH_TIMEOUT", 0.3)
    begin = time.monotonic()
    with pytest.raises(OSError, match=why):
        fetching(f"{issuer}{path}", folder / "ca.crt")()
    assert time.monotonic() - begin < 30  # the slow one takes most of a minute


@pytest.mark.parametrize("ca", ["other.crt", None])
def test_an_issuer_that_cannot_prove_who_it_is_is_refused(
    ca: str | None, issuer: str, folder: Path
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        fetching(f"{issuer}/keys", folder / ca if ca else None)()


def test_an_issuer_that_is_away_is_an_os_error(folder: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        fetching("https://127.0.0.1:1/keys", folder / "ca.crt")()
