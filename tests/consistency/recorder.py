"""The recording: JSON lines of invoke and return."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.consistency.operations import (
    Answer,
    Attempt,
    Kind,
    Part,
    Request,
    Seen,
    Step,
    Verdict,
)

NEVER: Final = 2**63
"""When an attempt returned that did not."""


class Recorder:
    """Writes a recording. Both times lie inside the call that they are about."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w")
        self.count = 0
        """How many attempts were invoked."""
        self.acknowledged = 0
        """How many were acknowledged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def invoke(self, request: Request) -> int:
        """Record that a request is about to be sent; returns the number of the attempt."""
        self.count += 1
        line = {"event": "invoke", "attempt": self.count, **request._asdict()}
        self._write({**line, "time": time.monotonic_ns()})
        return self.count

    def returned(self, attempt: int, answer: Answer) -> None:
        """Record what came back."""
        self.acknowledged += answer.verdict is Verdict.ACKNOWLEDGED
        now = time.monotonic_ns()
        self._write({"event": "return", "attempt": attempt, "time": now, **answer._asdict()})

    def attempts(self) -> list[Attempt]:
        """Everything that was recorded so far."""
        self._file.flush()
        return read_recording(self.path)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_recording(path: Path) -> list[Attempt]:
    """The attempts of a recording, in the order in which they were invoked.

    An attempt that did not return has an unknown outcome.
    """
    invoked: dict[int, tuple[Request, int]] = {}
    returned: dict[int, tuple[int, Answer]] = {}
    with path.open() as file:
        for text in file:
            line = json.loads(text)
            if line["event"] == "invoke":
                invoked[line["attempt"]] = (_request(line), line["time"])
            else:
                returned[line["attempt"]] = (line["time"], _answer(line))
    silence = (NEVER, Answer(Verdict.UNKNOWN, "NO_RETURN"))
    return [
        Attempt(*invocation, *returned.get(number, silence))
        for number, invocation in invoked.items()
    ]


def _request(line: dict[str, Any]) -> Request:
    parts = (
        Part(key, tuple(Step(*step) for step in steps), *conditions)
        for key, steps, *conditions in line["parts"]
    )
    told = {name: line[name] for name in Request._fields}
    return Request(**told | {"kind": Kind(line["kind"]), "parts": tuple(parts)})


def _answer(line: dict[str, Any]) -> Answer:
    seen = tuple(_seen(*version) for version in line["seen"])
    return Answer(Verdict(line["verdict"]), line["reason"], seen)


def _seen(*fields: Any) -> Seen:
    seen = Seen(*fields)
    return seen._replace(stale=tuple(seen.stale))
