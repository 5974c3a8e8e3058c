"""What the change begins with: the newest migrations of the product, and its build."""

from functools import cache
from typing import Final

from repository.migrations import window
from repository.migrations.revisions import CONTRACT, LOCATIONS, revisions_in

PRODUCT: Final = tuple(LOCATIONS)

FIRST: Final = window.BUILD
SECOND: Final = FIRST + 1
THIRD: Final = FIRST + 2
FOURTH: Final = FIRST + 3


@cache
def newest(branch: str) -> str | None:
    """The newest migration of the product in a branch; None if it has none."""
    known = revisions_in(PRODUCT)
    line = known.contract if branch == CONTRACT else known.expand
    return line[-1].id if line else None
