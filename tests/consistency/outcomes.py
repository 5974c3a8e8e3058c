"""Operations: requests with all that came of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.consistency.operations import Attempt, Kind, Request, Seen, Verdict
from tests.consistency.recorder import NEVER


@dataclass
class Operation:
    """A request and all attempts at it."""

    request: Request
    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict = Verdict.REFUSED
    invoked: int = NEVER
    """When it was first sent."""
    acknowledged: int = NEVER
    """When it was first acknowledged."""

    def add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.invoked = min(self.invoked, attempt.invoked)
        verdict = attempt.answer.verdict
        if verdict is Verdict.ACKNOWLEDGED:
            self.acknowledged = min(self.acknowledged, attempt.returned)
            self.verdict = verdict
        elif verdict is Verdict.UNKNOWN and self.verdict is Verdict.REFUSED:
            self.verdict = verdict

    def told(self, key: str) -> Seen | None:
        """What the first acknowledgement told of a key."""
        for attempt in self.attempts:
            for seen in attempt.answer.seen:
                if seen.key == key:
                    return seen
        return None


def operations_of(attempts: Sequence[Attempt]) -> dict[str, Operation]:
    """By name, everything that was to change something."""
    operations: dict[str, Operation] = {}
    for attempt in attempts:
        request = attempt.request
        if request.kind is not Kind.READ:
            operations.setdefault(request.operation, Operation(request)).add(attempt)
    return operations
