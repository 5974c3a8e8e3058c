"""A server for the length of the demo, with a database of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from examples.flights.interrupts import interrupts_deferred

START_SECONDS = 60.0
STOP_SECONDS = 60.0


class NotReady(Exception):
    """There is no server that is ready to serve."""


@contextmanager
def own_server() -> Iterator[str]:
    """Start a server in an empty folder; gives its address. Nothing is left of it afterwards."""
    target = f"127.0.0.1:{_free_port()}"
    with TemporaryDirectory(prefix="featom-flights-") as folder:
        log = Path(folder) / "server.log"
        process = _start(target, Path(folder) / "data", log)
        try:
            wait_until_ready(target, START_SECONDS, alive=lambda: process.poll() is None)
            yield target
        except NotReady as error:
            raise NotReady(f"{error}; its last words:\n{_last_lines(log)}") from None
        finally:
            _stop(process)


def wait_until_ready(target: str, seconds: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Return once the server says that it is ready.

    Raises NotReady when `seconds` are over or the server is no longer `alive`.
    """
    end = time.monotonic() + seconds
    request = health_pb2.HealthCheckRequest(service="readiness")
    with grpc.insecure_channel(target) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        while alive() and time.monotonic() < end:
            with suppress(grpc.RpcError):
                answer = health.Check(request, timeout=2)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.1)
    raise NotReady(f"the server at {target} is not ready")


def _start(target: str, data: Path, log: Path) -> subprocess.Popen[bytes]:
    command = Path(sys.executable).with_name("featom")
    # A database that the environment names is not the demo's to write to.
    environment = {name: text for name, text in os.environ.items() if name != "FEATOM_DSN"}
    with log.open("wb") as output:
        # In a session of its own, so that Ctrl-C ends the clients before their server.
        return subprocess.Popen(
            [command, "serve", "--listen", target, "--data-dir", data],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the server finish: killed, it would leave its database running."""
    with interrupts_deferred():
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
