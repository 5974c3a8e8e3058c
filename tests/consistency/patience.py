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


def hurried(longest: float) -> Mood:
    """Hangs up, or has a deadline, within so many seconds."""

    def mood(chance: random.Random) -> Patience:
        moment = chance.uniform(0.001, longest)
        if chance.random() < 0.5:
            return Patience(timeout=moment)
        return Patience(cancel_after=moment)

    return mood


in_a_hurry: Final = hurried(0.020)
