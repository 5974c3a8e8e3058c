"""The migrations that this build knows, in two branches.

`expand` only adds: the build before goes on working, so it is applied while that one serves.
`contract` takes away what no running build uses any more. Each branch is a line of its own;
`contract` comes after all of `expand` and after the backfills that it names.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from repository.migrations.backfill import Backfill

CONTRACT: Final = "contract"

LOCATIONS: Final[list[Path]] = [Path(__file__).parent / "versions"]
"""The folders of the migrations. Tests add theirs before anything is read."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration. What is not `id` and `title` comes from the names in its file."""

    id: str
    title: str
    backfills: tuple[Backfill, ...] = ()
    """BACKFILLS: what fills the columns that it adds."""
    optional: bool = False
    """OPTIONAL: this build can serve without it, if more slowly."""
    after_backfills: tuple[str, ...] = ()
    """AFTER_BACKFILLS: must be complete before. So a build that reads what was filled is not ready
    until it is."""
    oldest_build: int = 0
    """OLDEST_BUILD: builds before cannot serve afterwards. Every one of contract has it."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Both branches, oldest first."""

    expand: tuple[Revision, ...]
    contract: tuple[Revision, ...]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(each.id for each in (*self.expand, *self.contract))

    def pending_expand(self, found: Collection[str]) -> tuple[Revision, ...]:
        """What a database at some revisions lacks; nothing if it is ahead of this build."""
        at = _position(self.expand, found)
        if at is None:
            return () if set(found) - self.ids else self.expand
        return self.expand[at + 1 :]

    def pending_contract(self, found: Collection[str]) -> tuple[Revision, ...]:
        """As pending_expand."""
        at = _position(self.contract, found)
        if at is None:
            # A database is at one revision of each branch that was begun.
            expand_is_ahead = _position(self.expand, found) is None
            return self.contract if len(set(found) - self.ids) <= expand_is_ahead else ()
        return self.contract[at + 1 :]

    def misfit(self, found: Collection[str], oldest_build: int, build: int) -> str | None:
        """Why a build cannot serve a database, in words; None if it can."""
        lacking = [each for each in self.pending_expand(found) if not each.optional]
        if lacking:
            have = ", ".join(sorted(found)) or "no schema"
            return f"the database has {have}, `featom migrate` makes it {lacking[-1].id}"
        if build < oldest_build:
            return f"the database needs build {oldest_build} or later, and this is build {build}"
        return None


@cache
def revisions() -> Revisions:
    """Those of this build."""
    script = ScriptDirectory.from_config(config())
    scripts = [*script.walk_revisions()][::-1]
    return Revisions(
        expand=tuple(_read(each) for each in scripts if CONTRACT not in each.branch_labels),
        contract=tuple(_read(each) for each in scripts if CONTRACT in each.branch_labels),
    )


def config(**attributes: Any) -> Config:
    """For Alembic; `attributes` are for env.py."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("version_locations", "\n".join(map(str, LOCATIONS)))
    made.set_main_option("path_separator", "newline")
    made.attributes.update(attributes)
    return made


def backfills() -> Iterator[Backfill]:
    """All of this build, oldest first."""
    for revision in revisions().expand:
        yield from revision.backfills


def _read(script: Script) -> Revision:
    said = {
        name.lower(): getattr(script.module, name)
        for name in ("BACKFILLS", "OPTIONAL", "OLDEST_BUILD", "AFTER_BACKFILLS")
        if hasattr(script.module, name)
    }
    if CONTRACT in script.branch_labels and "oldest_build" not in said:
        raise ValueError(f"{script.path} does not say its OLDEST_BUILD")
    return Revision(script.revision, script.doc.partition("\n")[0], **said)


def _position(branch: tuple[Revision, ...], found: Collection[str]) -> int | None:
    """Where in a branch the database is; None: nowhere in what is known of it."""
    return next((at for at, each in enumerate(branch) if each.id in found), None)
