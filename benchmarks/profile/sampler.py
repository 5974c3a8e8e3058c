"""Where a process spends its processor time, by looking at it every millisecond of it.

A profiler that hooks into every call makes small functions look expensive; this one does not. A
sample within C code counts for the Python function that called it.
"""

import signal
from collections import Counter
from types import FrameType, TracebackType
from typing import Final, NamedTuple, Self

INTERVAL_SECONDS: Final = 0.001


class Function(NamedTuple):
    """A function as a profile names it."""

    file: str
    name: str


class Sampler:
    """Takes samples of the main thread while it is open. Unix only."""

    def __init__(self) -> None:
        self.stacks: Counter[tuple[Function, ...]] = Counter()
        """How often each stack was seen, the innermost function first."""

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append(Function(frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        self.stacks[tuple(stack)] += 1
