"""How long clients wait."""

import random
from collections.abc import Callable
from typing import Final, TypeAlias

from tests.consistency.caller import Patience

Mood: TypeAlias = Callable[[random.Random], Patience]

PATIENT: Final = Patience()


def patient(_: random.Random) -> Patience:
    """Waits for every answer."""
    return PATIENT


def in_a_hurry(chance: random.Random) -> Patience:
    """Hangs up, or has a deadline, within 20 ms."""
    moment = chance.uniform(0.001, 0.020)
    if chance.random() < 0.5:
        return Patience(timeout=moment)
    return Patience(cancel_after=moment)
