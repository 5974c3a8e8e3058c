"""Applying migrations, each in a transaction of its own."""

import logging
from dataclasses import dataclass, field

from repository.credentials import Password
from repository.migrations import window
from repository.migrations.backfilling import backfill_on, complete_backfills, register_as_complete
from repository.migrations.grants import grant_to
from repository.migrations.lock_waits import trying
from repository.migrations.revisions import Revision, backfills, revisions
from repository.migrations.session import (
    MIGRATING,
    Patience,
    connected_builds,
    current_revisions,
    keep_out_before,
    lock,
    session_on,
)
from repository.sessions.facts import Session

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Migrated:
    """What was done, and what could not be done yet."""

    applied: list[str] = field(default_factory=list)
    """Revisions, in order."""
    held_up: list[str] = field(default_factory=list)
    """Why the next migration has to wait, in words."""


async def up(
    dsn: str,
    password: Password | None = None,
    *,
    contract: bool = False,
    app_role: str | None = None,
    patience: Patience | None = None,
) -> Migrated:
    """Apply the pending migrations of `expand`; and with `contract` its own, as far as may be.

    A database without a schema gets all of both. `app_role` is left with what servers need. Any
    number of processes may do so at once: one migrates, the others wait for it, for as long as
    `patience` says, and tell whom they wait for.
    Raises MigrationFailed with what the network or PostgreSQL says, or RoleRefused.
    """
    patience = patience or Patience()
    async with session_on(dsn, password, patience) as session:
        if app_role is None and await _is_up(session, contract):
            return Migrated()
        await lock(session, MIGRATING, "the lock of migrations", patience.in_all)
        done = await _apply_pending(session, contract, patience)
        ahead = await current_revisions(session) - revisions().ids
        if app_role is not None and not ahead:
            await trying(session, "granting", lambda: grant_to(session, app_role), patience.in_all)
        return done


async def migrate(
    dsn: str, password: Password | None = None, *, app_role: str | None = None
) -> list[str]:
    """Bring a database that nobody else uses to the newest schema: expand, backfill, contract.

    Returns the revisions that were applied, in order. Raises as `up`.
    """
    applied = (await up(dsn, password, app_role=app_role)).applied
    if revisions().contract or any(True for _ in backfills()):
        async with session_on(dsn, password) as session:
            await backfill_on(session)
        applied += (await up(dsn, password, contract=True, app_role=app_role)).applied
    return applied


async def obstacles(session: Session, revision: Revision) -> list[str]:
    """Why a migration has to wait, in words; nothing if it need not."""
    complete = await complete_backfills(session)
    missing = [name for name in revision.after_backfills if name not in complete]
    older = [each for each in await connected_builds(session) if each < revision.oldest_build]
    reasons = [f"{revision.id} needs the backfill {name} first" for name in missing]
    if revision.oldest_build > window.BUILD:
        reasons.append(f"{revision.id} is for build {revision.oldest_build} or later")
    if older:
        reasons.append(
            f"{revision.id} takes away what servers of build {older[0]} need,"
            f" and {len(older)} older than build {revision.oldest_build} are connected"
        )
    return reasons


async def _is_up(session: Session, contract: bool) -> bool:
    """Whether nothing is left to do, so that nobody need be waited for."""
    found = await current_revisions(session)
    later = revisions().pending_contract(found) if contract else ()
    return bool(found) and not (*revisions().pending_expand(found), *later)


async def _apply_pending(session: Session, contract: bool, patience: Patience) -> Migrated:
    found = await current_revisions(session)
    known, done = revisions(), Migrated()
    if not found:
        for revision in (*known.expand, *known.contract):
            await _apply(session, revision, done, patience)
        await register_as_complete(session, backfills())
        return done
    later = known.pending_contract(found) if contract else ()
    for revision in (*known.pending_expand(found), *later):
        done.held_up = await _obstacles_that_stay(session, revision)
        if done.held_up:
            break
        await _apply(session, revision, done, patience)
    return done


async def _obstacles_that_stay(session: Session, revision: Revision) -> list[str]:
    """Why a migration has to wait; if it need not, nobody comes who would be one more reason."""
    reasons = await obstacles(session, revision)
    if reasons or not revision.oldest_build:
        return reasons
    await keep_out_before(session, revision.oldest_build)
    # One may have come in between.
    return await obstacles(session, revision)


async def _apply(session: Session, revision: Revision, done: Migrated, patience: Patience) -> None:
    from repository.migrations.running import run

    what = f"migration {revision.id}"
    await trying(session, what, lambda: run(session, revision.id), patience.in_all)
    log.info("migrated to %s", revision.id)
    done.applied.append(revision.id)
