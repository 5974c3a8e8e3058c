"""What a real server says on standard error: from its first line on, in one form."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import pytest

from tests.kit.authority import Authority
from tests.kit.roles import APP_ROLE
from tests.kit.serving import Server, serving

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 100.0


def lines_of(server: Server) -> list[dict[str, Any]]:
    """Every line of its log, of which each must be an object."""
    return [json.loads(line) for line in server.log.splitlines()]


def test_what_grpc_says_of_a_failed_handshake_is_a_line_of_the_log(
    database: str, tmp_path: Path
) -> None:
    authority = Authority()
    certificate, key = authority.issue("server", names=["127.0.0.1"]).write(tmp_path)
    with serving(
        database,
        log_format="json",
        tls_cert=certificate,
        tls_key=key,
        credentials=grpc.ssl_channel_credentials(authority.certificate),
    ) as server:
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            stranger.settimeout(PATIENCE)
            while stranger.recv(1_024):
                pass
        latest = time.monotonic() + PATIENCE
        while "Handshake failed" not in server.log and time.monotonic() < latest:
            time.sleep(0.02)
        found = [each for each in lines_of(server) if "Handshake failed" in each["message"]]
        assert found, server.log
        (line,) = found
        assert line["logger"] == "grpc.core"
        server.stop()
        assert lines_of(server)[-1]["message"] == "stopped"


def test_the_first_line_says_what_begins_and_the_next_what_it_has_found(database: str) -> None:
    with serving(database, log_format="json", lanes=3) as server:
        # That the shared PostgreSQL runs without fsync is told too, before or after.
        first, ready, *_ = (
            line["message"]
            for line in lines_of(server)
            if not line["message"].startswith("fsync off")
        )
    name = urlsplit(database).path.removeprefix("/")
    assert first.startswith("featom 0.1.0 (build ")
    assert f", database {name} at " in first
    for words in (" (from FEATOM_DSN), ", "auth none", "plaintext", "3 lanes"):
        assert words in first
    assert first.endswith(f", serving on {server.address}")
    assert ready.startswith("ready: PostgreSQL ")
    assert APP_ROLE not in first + ready


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_server_that_cannot_begin_says_why_in_the_form_of_its_log(
    database: str, form: str
) -> None:
    others = {name: value for name, value in os.environ.items() if "FEATOM_" not in name}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "cli", "serve", "--dsn", database, "--listen", taken],
            cwd=ROOT,
            env=others | {"FEATOM_LOG_FORMAT": form},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    # gRPC has a line of its own, which may come last.
    if form == "json":
        lines = [json.loads(line)["message"] for line in lines]
        assert any(line.startswith(f"cannot listen on {taken}") for line in lines)
    else:
        assert any(line.startswith(f"featom: cannot listen on {taken}") for line in lines)
