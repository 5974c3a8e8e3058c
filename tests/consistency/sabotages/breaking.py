"""How a sabotage breaks the product: in the memory of one process, and only what is still there."""

import random
from typing import Any, Final

LATER: Final = 0.015
"""Seconds between what is too early and what it should have waited for."""


def break_statement(statements: dict[str, str], name: str, part: str, replacement: str) -> None:
    """Put `replacement` in the place of a part of a statement; {} in it is that part."""
    assert part in statements[name], f"{name} is written in another way now"
    statements[name] = statements[name].replace(part, replacement.format(part))


def replace_in(owner: Any, name: str, replacement: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} now"
    setattr(owner, name, replacement)


def now_and_then() -> bool:
    """One time in five."""
    return random.random() < 0.2
