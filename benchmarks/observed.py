"""What it costs a call to be observed: `python -m benchmarks.observed`.

The stages around a handler that does nothing, with and without each observer, in turns, in one
process. No network and no database, so what differs is the observer alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from server.access_log import access_logged
from server.metrics import Metrics
from server.rpc.call import Call
from server.rpc.middleware import Handler, Middleware, with_errors, wrap
from server.services.feature_store import SERVICE
from server.tracing import traced

CALLS: Final = 50_000
ROUNDS: Final = 7
METHOD: Final = f"/{SERVICE.full_name}/GetAggregate"


class Context:
    """As much of a grpc context as the stages use."""

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return (("user-agent", "grpc-python"), ("x-request-id", "c0ffee"))

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        pass

    def time_remaining(self) -> float:
        return 1.0

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


async def answer(call: Call) -> bytes:
    return b""


def sampled(rate: float) -> Middleware:
    """Traces that are recorded at this rate, and thrown away."""
    provider = TracerProvider(sampler=TraceIdRatioBased(rate))
    return traced(provider)


def variants() -> Mapping[str, Handler]:
    metrics = Metrics([SERVICE], [])
    chains: dict[str, Sequence[Middleware]] = {
        "nothing": (access_logged, with_errors),
        "metrics": (access_logged, metrics.middleware, with_errors),
        "traces, none recorded": (sampled(0), access_logged, with_errors),
        "traces, all recorded": (sampled(1), access_logged, with_errors),
    }
    return {name: wrap(answer, stages) for name, stages in chains.items()}


async def seconds_of(handler: Handler) -> float:
    context: Any = Context()
    begun = perf_counter()
    for _ in range(CALLS):
        await handler(Call(METHOD, context))
    return (perf_counter() - begun) / CALLS


async def main() -> None:
    handlers = variants()
    seen: dict[str, list[float]] = {name: [] for name in handlers}
    for _ in range(ROUNDS):
        for name, handler in handlers.items():
            seen[name].append(await seconds_of(handler))
    base = median(seen["nothing"])
    for name, times in seen.items():
        took = median(times)
        print(f"{name:22} {took * 1e6:6.2f} µs a call, {(took - base) * 1e6:+6.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
