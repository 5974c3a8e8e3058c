"""What a driver is told over its standard input, and what it says on its standard output.

One line of JSON each.
"""

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Order:
    """One round."""

    seconds: float
    callers: int = 256
    entities: int = 1
    """The updates go to the first so many aggregates, at random."""
    request_ids: bool = False
    """Whether each update has a request id."""


@dataclass(frozen=True)
class Result:
    """What came of it."""

    updates: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    attempts: int
    """How often an update was tried."""
    conflicts: int
    """How often another writer was faster."""
    failures: dict[str, int] = field(default_factory=dict)


def dump(line: Order | Result) -> str:
    return json.dumps(asdict(line)) + "\n"


def load_order(line: str) -> Order:
    return Order(**json.loads(line))


def load_result(line: str) -> Result:
    return Result(**json.loads(line))
