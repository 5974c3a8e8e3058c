"""How a sabotage breaks the product: in the memory of one process, and only what is still there."""

import random
from collections.abc import Callable
from typing import Any, Final

from repository.connections.pool import SERIALIZABLE, Pool

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


def pools_that_write() -> Callable[[Pool], bool]:
    """What tells the pools of this process that write from those that only read."""
    found: set[int] = set()
    begin = Pool.__init__

    def remember(self: Pool, dsn: str, isolation: dict[str, str], **options: Any) -> None:
        begin(self, dsn, isolation, **options)
        if isolation is SERIALIZABLE:
            found.add(id(self))

    replace_in(Pool, "__init__", remember)
    return lambda pool: id(pool) in found
