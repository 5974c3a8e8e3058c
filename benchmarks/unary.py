"""Workloads of unary calls, driven by h2load."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks import cpu, h2load
from benchmarks.rig import Rig
from benchmarks.rotating_body import RotatingBody
from benchmarks.servers import Server
from benchmarks.workload import Sample, Target, Unverified

WARM_UP_SECONDS = 1.0
PROBES = 200
# How far the mean size of the answers may be from that of the probes. An answer with an error
# has no data at all, so a share of errors of this size is noticed.
TOLERANCE = 0.01


@dataclass
class UnaryCalls:
    """One method called with random requests, 64 at a time."""

    name: str
    method: str  # such as `/package.Service/Method`
    serve: Callable[[Rig], Server]
    requests: Callable[[Rig], Sequence[bytes]]
    check: Callable[[bytes, bytes], None]  # of request and answer; raises Unverified
    unit: str = "calls"
    units_per_call: int = 1
    target: Target | None = None
    _server: Server = field(init=False)
    _messages: Sequence[bytes] = field(default=(), init=False)
    _body: Path = field(default=Path(), init=False)
    _answer_bytes: float = field(default=0, init=False)

    def prepare(self, rig: Rig) -> None:
        self._server = self.serve(rig)
        self._messages = self.requests(rig)
        self._body = rig.folder / f"{self.name}.body"
        self._answer_bytes = self._probe(PROBES)

    def measure(self, seconds: float) -> Sample:
        self._probe(1)
        with RotatingBody(self._body, [h2load.frame(each) for each in self._messages]):
            h2load.run(self._server.address, self.method, self._body, WARM_UP_SECONDS)
            cpu_before = cpu.seconds(self._server.pid)
            result = h2load.run(self._server.address, self.method, self._body, seconds)
            cpu_after = cpu.seconds(self._server.pid)
        self._probe(1)
        self._verify(result)
        cpu_us = None
        if cpu_before is not None and cpu_after is not None:
            cpu_us = (cpu_after - cpu_before) * 1e6 / (result.requests * self.units_per_call)
        return Sample(
            rate=result.rate * self.units_per_call,
            p50_ms=result.percentile(50),
            p99_ms=result.percentile(99),
            cpu_us=cpu_us,
        )

    def _probe(self, count: int) -> float:
        """Check `count` random answers in full; gives the mean length of a framed answer."""
        lengths = []
        with grpc.insecure_channel(self._server.address) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self.method)
            for message in random.choices(self._messages, k=count):
                try:
                    answer = call(message, timeout=30)
                except grpc.RpcError as error:
                    raise Unverified(f"{self.name}: {error}") from error
                self.check(message, answer)
                lengths.append(len(h2load.frame(answer)))
        return sum(lengths) / count

    def _verify(self, result: h2load.Result) -> None:
        """Compare the size of h2load's answers with that of the probes.

        Answers that were under way when the time was over count as data and not as requests.
        """
        mean = result.data_bytes / result.requests
        unfinished = h2load.CONNECTIONS * h2load.STREAMS / result.requests
        least, most = 1 - TOLERANCE, 1 + TOLERANCE + unfinished
        if not least * self._answer_bytes <= mean <= most * self._answer_bytes:
            raise Unverified(
                f"{self.name}: {mean:,.0f} bytes an answer instead of {self._answer_bytes:,.0f}"
            )
