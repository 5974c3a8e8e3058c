"""A command that gets no answer ends in time, and says whom it has waited for."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from cli import exits
from cli.main import app
from featom.v1.entity_type_service_pb2_grpc import (
    EntityTypeServiceServicer,
    add_EntityTypeServiceServicer_to_server,
)


@contextmanager
def silent() -> Iterator[str]:
    """It takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def busy() -> Iterator[str]:
    """It speaks gRPC, and does not answer."""
    ended = threading.Event()

    class Busy(EntityTypeServiceServicer):
        def ApplyEntityType(self, request: Any, context: Any) -> Any:  # noqa: N802
            ended.wait(60)

        CheckAggregates = GetEntityType = ApplyEntityType
        DeleteEntityType = ListEntityTypes = ApplyEntityType

    server = grpc.server(ThreadPoolExecutor(8))
    untyped: Any = server
    add_EntityTypeServiceServicer_to_server(Busy(), untyped)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        ended.set()
        server.stop(None).wait()


@pytest.mark.parametrize("server", [silent, busy])
@pytest.mark.parametrize("command", ["apply", "diff", "get-type", "check"])
def test_a_command_waits_no_longer_than_was_said(server: Any, command: str, tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text("name: card\nfeatures: {payments: {type: int64}}\n")
    what = ["-f", str(file)] if command in ("apply", "diff") else ["card"]
    with server() as target:
        ended = CliRunner().invoke(app, [command, *what, "--target", target, "--timeout", "0.5"])
    assert ended.exit_code == exits.UNAVAILABLE, ended.output
    assert f"{target} has not answered within 0.5 s" in ended.stderr
    assert "--timeout" in ended.stderr


def test_a_time_that_is_none_is_refused() -> None:
    ended = CliRunner().invoke(app, ["get-type", "card", "--timeout", "0"])
    assert ended.exit_code == 2
    assert "--timeout must be more than 0" in ended.stderr
