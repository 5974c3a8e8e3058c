"""Drives unary gRPC with h2load: a client in C, because one in Python is slower than the server.

h2load knows HTTP/2 and no gRPC: a call is a POST of a length-prefixed message, and a call that
fails is an HTTP 200 without data. So the callers check the data that came back.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 4
STREAMS = 16  # calls in flight on each connection
HEADERS = ("content-type: application/grpc", "te: trailers")
INSTALL = ("apt-get", "install", "--yes", "nghttp2-client")


class H2loadFailed(Exception):
    """h2load did not run, or not all of its requests were answered."""


@dataclass(frozen=True)
class Result:
    """What one run of h2load reports."""

    rate: float
    requests: int
    data_bytes: int  # payload of the answers with its length prefix, without HTTP's own bytes
    latencies_ms: list[float]  # ascending

    def percentile(self, percent: float) -> float:
        return self.latencies_ms[min(int(self.requests * percent / 100), self.requests - 1)]


def require() -> None:
    """Install h2load if it is missing and that is possible without asking; else say how."""
    if shutil.which("h2load"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing h2load (nghttp2-client)", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(("apt-get", "update", "--quiet"), env=environment, check=False)
        subprocess.run(INSTALL, env=environment, check=False)
    if not shutil.which("h2load"):
        sys.exit(
            "The benchmark needs h2load, which Debian and Ubuntu ship as nghttp2-client:\n"
            f"  sudo {' '.join(INSTALL)}"
        )


def frame(message: bytes) -> bytes:
    """The message as it stands in the body of a gRPC call: uncompressed, length-prefixed."""
    return b"\0" + struct.pack(">I", len(message)) + message


def run(address: str, method: str, body: Path, seconds: float, streams: int = STREAMS) -> Result:
    """Call `method` with the content of `body` over and over for `seconds`.

    Raises H2loadFailed when a request got no answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests.log"
        command = [
            "h2load",
            f"--clients={CONNECTIONS}",
            f"--max-concurrent-streams={streams}",
            f"--duration={round(seconds * 1_000)}ms",
            f"--data={body}",
            f"--log-file={log}",
            *(f"--header={header}" for header in HEADERS),
            f"http://{address}{method}",
        ]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        if finished.returncode != 0:
            raise H2loadFailed(finished.stdout + finished.stderr)
        return parse(finished.stdout, log.read_text())


def parse(output: str, log: str) -> Result:
    """The numbers in h2load's output and in its log of requests."""
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", output)
    data = re.search(r"\((\d+)\) data", output)
    if not (rate and counts and data):
        raise H2loadFailed(output)
    done, succeeded, failed = map(int, counts.groups())
    if not done or done != succeeded or failed:
        raise H2loadFailed(output)
    microseconds = [int(line.rsplit("\t", 1)[1]) for line in log.splitlines()]
    return Result(
        rate=float(rate[1]),
        requests=done,
        data_bytes=int(data[1]),
        latencies_ms=sorted(each / 1_000 for each in microseconds),
    )
