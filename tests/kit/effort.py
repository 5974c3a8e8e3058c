"""How much work something is, whatever else the machine does meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AT_ONCE: Final = 10.0
"""Processor seconds: far more than what takes milliseconds, far less than what has no bound."""


@contextmanager
def at_once(seconds: float = AT_ONCE) -> Iterator[None]:
    """The block must not take more of a processor's time. Raises AssertionError."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < seconds, f"it took {taken:.1f} s of a processor"
