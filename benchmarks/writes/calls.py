"""Workloads of updates over gRPC, driven by h2load.

What h2load says of success means nothing with gRPC, so the database is asked: each update that
succeeds makes one version.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks import cpu, h2load
from benchmarks.rig import Rig
from benchmarks.rotating_body import PAUSE_SECONDS, RotatingBody
from benchmarks.workload import Target, Unverified
from benchmarks.writes.cluster_cpu import ClusterCpu
from benchmarks.writes.rig import WriteRig
from benchmarks.writes.sample import WriteSample

WARM_UP_SECONDS = 1.0
PROBES = 20
TOLERANCE = 0.01
"""The share of updates that may not be found in the database."""


@dataclass
class UpdateCalls:
    """One method called with random requests, each of so many updates."""

    name: str
    method: str  # such as `/package.Service/Method`
    messages: Callable[[WriteRig], Sequence[Sequence[bytes]]]
    """The requests, each a list of messages: one, unless the method is a stream."""
    check: Callable[[Sequence[bytes]], None]  # of the answers to one; raises Unverified
    updates_per_call: int = 1
    streams: int = h2load.STREAMS
    """Calls in flight on each connection."""
    unit: str = "updates"
    target: Target | None = None
    _rig: WriteRig = field(init=False)
    _requests: Sequence[Sequence[bytes]] = field(default=(), init=False)
    _body: Path = field(default=Path(), init=False)

    def prepare(self, rig: Rig) -> None:
        assert isinstance(rig, WriteRig)
        self._rig = rig
        self._requests = self.messages(rig)
        self._body = rig.folder / f"{self.name}.body"
        self._probe(PROBES)

    def measure(self, seconds: float) -> WriteSample:
        self._probe(1)
        server = self._rig.featom
        bodies = [b"".join(map(h2load.frame, request)) for request in self._requests]
        # A call of many updates comes seldom, and a new body for it costs as much more to write.
        pause = PAUSE_SECONDS * min(self.updates_per_call, 10)
        with RotatingBody(self._body, bodies, pause):
            self._run(WARM_UP_SECONDS)
            before = self._rig.committed()
            cpu_before = cpu.seconds(server.pid)
            postgres = ClusterCpu(self._rig.cluster)
            result = self._run(seconds)
            postgres_seconds = postgres.seconds()
            cpu_after = cpu.seconds(server.pid)
            committed = self._rig.committed() - before
        self._probe(1)
        self._verify(result, committed)
        known = cpu_before is not None and cpu_after is not None
        return WriteSample(
            rate=result.rate * self.updates_per_call,
            p50_ms=result.percentile(50),
            p99_ms=result.percentile(99),
            cpu_us=((cpu_after or 0) - (cpu_before or 0)) / committed * 1e6 if known else None,
            postgres_us=None if postgres_seconds is None else postgres_seconds / committed * 1e6,
        )

    def _run(self, seconds: float) -> h2load.Result:
        address = self._rig.featom.address
        return h2load.run(address, self.method, self._body, seconds, self.streams)

    def _probe(self, count: int) -> None:
        """Check the answers to `count` random requests in full."""
        with grpc.insecure_channel(self._rig.featom.address) as channel:
            call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(self.method)
            for request in random.choices(self._requests, k=count):
                try:
                    self.check(list(call(iter(request), timeout=30)))
                except grpc.RpcError as error:
                    raise Unverified(f"{self.name}: {error}") from error

    def _verify(self, result: h2load.Result, committed: int) -> None:
        """Calls under way when the time was over may have been committed or not."""
        answered = result.requests * self.updates_per_call
        if committed < answered * (1 - TOLERANCE):
            raise Unverified(f"{self.name}: {answered} updates answered, {committed} committed")
