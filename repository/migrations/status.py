"""What a database is at, and what is pending."""

from dataclasses import dataclass

from repository.credentials import Password
from repository.migrations import window
from repository.migrations.backfilling import Progress, progress_of
from repository.migrations.revisions import Revision, revisions
from repository.migrations.session import (
    connected_builds,
    current_revisions,
    oldest_build,
    session_on,
)
from repository.migrations.up import obstacles
from repository.sessions.facts import Session


@dataclass(frozen=True, slots=True)
class Status:
    """A database, as this build sees it."""

    revisions: frozenset[str]
    oldest_build: int
    connected: list[int]
    """The build of each server that is connected."""
    expand: tuple[Revision, ...]
    """Pending."""
    contract: tuple[Revision, ...]
    """Pending."""
    obstacles: list[str]
    """Why the next migration has to wait."""
    backfills: list[Progress]
    """Every one that this build knows."""
    build: int
    """This one."""
    misfit: str | None
    """Why this build cannot serve the database; None: it can."""

    @property
    def is_pending(self) -> bool:
        """Whether there is anything left to do."""
        left = [each for each in self.backfills if not each.complete]
        return bool(self.expand or self.contract or left)


async def status(dsn: str, password: Password | None = None) -> Status:
    """Look at a database. Raises MigrationFailed if it cannot be reached."""
    async with session_on(dsn, password) as session:
        return await _status(session)


async def _status(session: Session) -> Status:
    known = revisions()
    found, oldest = await current_revisions(session), await oldest_build(session)
    expand, contract = known.pending_expand(found), known.pending_contract(found)
    pending = (*expand, *contract)
    return Status(
        revisions=found,
        oldest_build=oldest,
        connected=await connected_builds(session),
        expand=expand,
        contract=contract,
        obstacles=await obstacles(session, pending[0]) if pending and found else [],
        backfills=[
            await progress_of(session, backfill)
            for revision in known.expand
            if revision not in expand
            for backfill in revision.backfills
        ],
        build=window.BUILD,
        misfit=known.misfit(found, oldest, window.BUILD),
    )
