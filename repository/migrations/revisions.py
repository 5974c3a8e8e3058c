"""The migrations that this build knows, in two branches.

`expand` only adds: the build before goes on working, so it is applied while that one serves.
`contract` takes away what no running build uses any more. Each branch is a line of its own;
`contract` comes after all of `expand` and after the backfills that it names.

A server only has to know what there is, so the files are read without Alembic, whose import takes
longer than the rest of a server's start.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from repository.migrations.backfill import Backfill
from repository.migrations.window import outdated

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
        return outdated(build, oldest_build)


@cache
def revisions() -> Revisions:
    """Those of this build."""
    return revisions_in(LOCATIONS)


def revisions_in(folders: Iterable[Path]) -> Revisions:
    """Those in some folders. Raises ValueError if they are not two lines."""
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    modules = [_load(file) for file in files]
    expand, contract = _line(modules, contract=False), _line(modules, contract=True)
    if len(expand) + len(contract) != len(modules):
        raise ValueError(f"the migrations are not two lines: {', '.join(map(str, files))}")
    for module in contract:
        if not hasattr(module, "OLDEST_BUILD"):
            raise ValueError(f"{module.__file__} does not say its OLDEST_BUILD")
    return Revisions(tuple(map(_revision, expand)), tuple(map(_revision, contract)))


def backfills() -> Iterator[Backfill]:
    """All of this build, oldest first."""
    for revision in revisions().expand:
        yield from revision.backfills


def _load(file: Path) -> ModuleType:
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _line(modules: Iterable[ModuleType], *, contract: bool) -> list[ModuleType]:
    """The migrations of one branch, oldest first; its first one says which branch it is."""
    after = {
        module.down_revision: module
        for module in modules
        if module.down_revision is not None or _begins_contract(module) == contract
    }
    line: list[ModuleType] = []
    while module := after.pop(line[-1].revision if line else None, None):
        line.append(module)
    return line


def _begins_contract(module: ModuleType) -> bool:
    return CONTRACT in (getattr(module, "branch_labels", None) or ())


def _revision(module: ModuleType) -> Revision:
    said = {
        name.lower(): getattr(module, name)
        for name in ("BACKFILLS", "OPTIONAL", "OLDEST_BUILD", "AFTER_BACKFILLS")
        if hasattr(module, name)
    }
    return Revision(module.revision, (module.__doc__ or "").partition("\n")[0], **said)


def _position(branch: tuple[Revision, ...], found: Collection[str]) -> int | None:
    """Where in a branch the database is; None: nowhere in what is known of it."""
    return next((at for at, each in enumerate(branch) if each.id in found), None)
