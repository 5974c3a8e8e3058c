"""Starts the servers under measurement as processes of their own, and stops them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from benchmarks import echo_server

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    pid: int


def free_address() -> str:
    """A loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def echo(python: Path, folder: Path) -> Iterator[Server]:
    """Run the echo server on `python`."""
    address = free_address()
    command = [str(python), str(echo_server.__file__), address.rpartition(":")[2]]
    with running(command, {}, folder / f"{address}.log", lambda: is_connectable(address)) as pid:
        yield Server(address, pid)


@contextmanager
def featom(data: Path, folder: Path) -> Iterator[Server]:
    """Run Featom with a PostgreSQL of its own in `data`."""
    address = free_address()
    command = [str(Path(sys.executable).with_name("featom")), "serve"]
    environment = {"FEATOM_LISTEN": address, "FEATOM_DATA_DIR": str(data)}
    with running(
        command, environment, folder / f"{address}.log", lambda: is_serving(address)
    ) as pid:
        yield Server(address, pid)


def is_connectable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def is_serving(address: str) -> bool:
    if not is_connectable(address):
        return False
    with grpc.insecure_channel(address) as channel:
        check: grpc.UnaryUnaryMultiCallable[
            health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        ] = channel.unary_unary(
            HEALTH_CHECK,
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[int]:
    """Run `command`, give its process id once it is ready, and end it afterwards.

    The output goes to a file: a pipe that a daemon keeps open would block whoever reads it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await_ready(process, log, ready)
        yield process.pid
    finally:
        stop(process)


def await_ready(process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"{process.args!r} did not start:\n{tail}")
        time.sleep(0.1)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
