"""Real server processes, started as `featom serve` starts them."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tests.kit.program import FEATOM, started
from tests.kit.roles import as_app_role

ROOT: Final = Path(__file__).parents[2]

SERVING_ON: Final = re.compile(r'serving on ([^\s"]+)[\s"]')
"""In the first line of a server's log; whole once something follows."""
_PAUSE: Final = 0.02
_PATIENCE: Final = 100.0


class Server:
    """One `featom serve` process."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        log_file: Path,
        started_within: float = _PATIENCE,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.process = process
        self._log_file = log_file
        self._credentials = credentials
        self.address = self._wait_for_address(started_within)
        """HOST:PORT, for a channel, or for another server after this one has ended."""

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return self._log_file.read_text(errors="replace")

    def wait_until_ready(self, timeout: float = _PATIENCE) -> None:
        """Return when readiness is SERVING."""
        latest = time.monotonic() + timeout
        while self.health("readiness") != HealthCheckResponse.SERVING:
            if self.process.poll() is not None or time.monotonic() > latest:
                raise AssertionError(f"the server is not ready:\n{self.log}")
            time.sleep(_PAUSE)

    def health(self, service: str) -> int | None:
        """What the health service says; None if it does not answer, or knows no such service."""
        with self._channel() as channel, suppress(grpc.RpcError):
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                HealthCheckRequest.SerializeToString,
                HealthCheckResponse.FromString,
            )
            answer = check(HealthCheckRequest(service=service), timeout=1.0)
            return int(answer.status)
        return None

    def kill(self) -> None:
        """End it as a crash does: at once, whatever it was doing."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = _PATIENCE) -> int:
        """Ask it to drain and end; returns its exit code. Kills it if it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _channel(self) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self.address)
        return grpc.secure_channel(self.address, self._credentials)

    def _wait_for_address(self, timeout: float) -> str:
        latest = time.monotonic() + timeout
        while True:
            if found := SERVING_ON.search(self.log):
                return found.group(1)
            if self.process.poll() is not None or time.monotonic() > latest:
                self.kill()
                raise AssertionError(f"the server does not start:\n{self.log}")
            time.sleep(_PAUSE)


@contextmanager
def serving(
    dsn: str,
    *,
    listen: str = "127.0.0.1:0",
    ready: bool = True,
    credentials: grpc.ChannelCredentials | None = None,
    **settings: object,
) -> Iterator[Server]:
    """A server on a database, in the role of servers, for as long as the block lasts.

    Port 0 takes any that is free. `settings` are those of server.settings by name, such as
    `lanes=2`. Unless `ready` is False the block begins when the server is ready. With `credentials`
    its health is asked for over TLS.
    """
    environment = {name: value for name, value in os.environ.items() if "FEATOM_" not in name}
    environment |= {
        "FEATOM_DSN": as_app_role(dsn),
        "FEATOM_LISTEN": listen,
        "PYTHONUNBUFFERED": "1",
    }
    environment |= {f"FEATOM_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.NamedTemporaryFile(prefix="featom-", suffix=".log") as log_file:
        process = subprocess.Popen(
            [*started(FEATOM, environment), "serve"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
        )
        server = Server(process, Path(log_file.name), credentials=credentials)
        try:
            if ready:
                server.wait_until_ready()
            yield server
        finally:
            server.stop()
