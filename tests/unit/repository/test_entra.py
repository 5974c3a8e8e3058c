"""Tokens of Entra, from a server that answers as Entra does."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from repository import credentials
from repository.credentials import EntraToken, NoToken, WorkloadIdentity


class Entra(ThreadingHTTPServer):
    """Answers each request with the next token, or with `status` if that is an error."""

    def __init__(self, *, lasts: int = 3_600, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lasts = lasts
        self.status = status
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.missing = 0
        """So many bytes more are announced of an answer than come."""
        self.slow = threading.Event()
        """Cleared: it answers when it is set again."""
        self.slow.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Entra)
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append((self.path, form))
        answer = {"access_token": f"t{len(self.server.asked)}", "expires_in": self.server.lasts}
        self.server.slow.wait(5)
        content = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content) + self.server.missing))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def running(server: Entra) -> Iterator[Entra]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def identity(server: Entra, folder: Path) -> WorkloadIdentity:
    token_file = folder / "token"
    token_file.write_text("of the cluster")
    return WorkloadIdentity.of(
        {
            "AZURE_AUTHORITY_HOST": server.address,
            "AZURE_TENANT_ID": "tenant",
            "AZURE_CLIENT_ID": "client",
            "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
        }
    )


async def end_of_request(token: EntraToken) -> None:
    assert token._asking is not None
    await asyncio.wait((token._asking,))


async def test_the_clusters_token_is_traded_for_one_of_the_database(tmp_path: Path) -> None:
    with running(Entra()) as server:
        assert await EntraToken(identity(server, tmp_path))() == "t1"
    assert server.asked == [
        (
            "/tenant/oauth2/v2.0/token",
            {
                "grant_type": ["client_credentials"],
                "client_id": ["client"],
                "scope": ["https://ossrdbms-aad.database.windows.net/.default"],
                "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
                "client_assertion": ["of the cluster"],
            },
        )
    ]


async def test_connections_that_open_together_share_one_request(tmp_path: Path) -> None:
    with running(Entra()) as server:
        token = EntraToken(identity(server, tmp_path))
        assert set(await asyncio.gather(*(token() for _ in range(8)))) == {"t1"}


async def test_a_token_that_no_connection_would_outlive_is_replaced_before_it_is_used(
    tmp_path: Path,
) -> None:
    with running(Entra(lasts=int(credentials._CONNECTING) - 1)) as server:
        token = EntraToken(identity(server, tmp_path))
        assert [await token(), await token()] == ["t1", "t2"]


async def test_a_token_about_to_expire_is_replaced_while_it_is_used(tmp_path: Path) -> None:
    with running(Entra(lasts=int(credentials._EARLY) - 1)) as server:
        token = EntraToken(identity(server, tmp_path))
        assert await token() == "t1"
        server.slow.clear()
        async with asyncio.timeout(60):
            assert await token() == "t1"
        server.slow.set()
        await end_of_request(token)
        assert await token() == "t2"


async def test_a_token_is_good_until_its_end_though_entra_gives_no_other(tmp_path: Path) -> None:
    with running(Entra(lasts=int(credentials._EARLY) - 1)) as server:
        token = EntraToken(identity(server, tmp_path))
        assert await token() == "t1"
        server.status = 503
        for _ in range(3):
            assert await token() == "t1"
            await end_of_request(token)
        assert len(server.asked) == 4
        token._expires -= credentials._EARLY - credentials._CONNECTING
        with pytest.raises(NoToken, match="503"):
            await token()


async def test_the_answer_for_who_has_given_up_is_there_for_the_next(tmp_path: Path) -> None:
    with running(Entra()) as server:
        token = EntraToken(identity(server, tmp_path))
        server.slow.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(token(), 0.1)
        server.slow.set()
        assert await token() == "t1"
        assert len(server.asked) == 1


async def test_a_refusal_counts_as_a_database_that_is_away(tmp_path: Path) -> None:
    with running(Entra(status=401)) as server, pytest.raises(NoToken, match="401"):
        await EntraToken(identity(server, tmp_path))()
    assert issubclass(NoToken, OSError)


async def test_an_answer_that_breaks_off_is_no_defect_of_ours(tmp_path: Path) -> None:
    with running(Entra()) as server:
        server.missing = 9
        with pytest.raises(NoToken):
            await EntraToken(identity(server, tmp_path))()


async def test_a_clusters_token_that_is_no_text_is_no_defect_of_ours(tmp_path: Path) -> None:
    with running(Entra()) as server:
        asked = identity(server, tmp_path)
        asked.token_file.write_bytes(b"\xff")
        with pytest.raises(NoToken):
            await EntraToken(asked)()


async def test_after_a_refusal_the_next_connection_asks_again(tmp_path: Path) -> None:
    with running(Entra(status=503)) as server:
        token = EntraToken(identity(server, tmp_path))
        with pytest.raises(NoToken):
            await token()
        server.status = 200
        assert await token() == "t2"
