"""What the change begins with: the newest migrations of the product, and its build."""

from functools import cache
from typing import Final

from alembic.script import ScriptDirectory

from repository.migrations import window
from repository.migrations.revisions import CONTRACT, LOCATIONS, config

PRODUCT: Final = tuple(LOCATIONS)

FIRST: Final = window.BUILD
SECOND: Final = FIRST + 1
THIRD: Final = FIRST + 2
FOURTH: Final = FIRST + 3


@cache
def newest(branch: str) -> str | None:
    """The newest migration of the product in a branch; None if it has none."""
    made = config()
    made.set_main_option("version_locations", "\n".join(map(str, PRODUCT)))
    script = ScriptDirectory.from_config(made)
    heads = [script.get_revision(head) for head in script.get_heads()]
    (*found,) = (
        each.revision
        for each in heads
        if each is not None and (CONTRACT in each.branch_labels) == (branch == CONTRACT)
    )
    assert len(found) <= 1, f"{branch} has to be one line: {found}"
    return found[0] if found else None
