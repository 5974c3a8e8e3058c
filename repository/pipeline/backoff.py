"""How long to wait before another try.

Full jitter after Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

import random
from typing import Final

BASE: Final = 0.005
CAP: Final = 0.250


def backoff(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure, counted from 1."""
    return random.uniform(0, min(CAP, BASE * 2 ** min(attempt - 1, 10)))  # noqa: S311
