"""Applying entity types: what is wrong with one, what it changes, what it would break."""

import asyncio
import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from application.aggregate_check import AggregateCheck, Broken, Checked, Progress
from domain.differences import Difference, differences
from domain.entity_type import EntityType
from domain.entity_type_store import (
    CurrentType,
    EntityTypeStore,
    Mark,
    MarkExpired,
    ScannedAggregate,
)
from domain.entity_type_violations import entity_type_violations
from domain.errors import (
    Contended,
    EntityTypeNotFound,
    FieldViolation,
    IncompatibleChange,
    RuleViolation,
    StaleEtag,
    Unavailable,
)
from domain.limits import Limits
from domain.policy import Policy
from domain.rules import RuleCompiler
from domain.timestamp import Timestamp

_TRIES: Final = 10
_PAUSE: Final = 0.5
"""Seconds for which writers of the type go on before the next try, at least half of it."""
_LONG: Final = 1.0
"""Seconds of checking after which writers of the type do not wait any longer."""
_RESUMABLE: Final = 600.0
"""Seconds for which a check that was interrupted can be gone on with."""
_MAX_INTERRUPTED: Final = 16

log = logging.getLogger(__name__)


class Applied(NamedTuple):
    """The outcome of an apply."""

    entity_type: EntityType
    differences: Sequence[Difference]
    violating: int


class Interrupted(NamedTuple):
    """A check whose caller went away, or whose database did."""

    definition: EntityType
    revision: int
    progress: Progress
    at: float


class EntityTypes:
    """Changes entity types and checks aggregates against them.

    A check ends with the call that wants it, so nothing is applied that nobody waits for. One of
    millions of aggregates may take longer than a connection lives: who asks the same again goes on
    where it was interrupted.
    """

    def __init__(self, store: EntityTypeStore, compiler: RuleCompiler, limits: Limits) -> None:
        self._store = store
        self._compiler = compiler
        self._limits = limits
        self._interrupted: dict[str, Interrupted] = {}

    async def apply(
        self,
        definition: EntityType,
        revision: int | None,
        *,
        validate_only: bool,
        accept_existing: bool,
    ) -> Applied:
        """Make an entity type what the definition says, which has no violations.

        Only if `revision` is the current one, or is None.
        Raises StaleEtag, IncompatibleChange or Contended, and has then changed nothing.
        """
        for _ in range(_TRIES):
            read = await self._store.current(definition.name)
            _require_current(revision, read)
            found = differences(read.definition, definition)
            if not found and read.definition is not None:
                return Applied(read.definition, (), 0)
            applied = await self._try(definition, read, found, validate_only, accept_existing)
            if applied is not None:
                return applied
        raise Contended

    async def delete(self, name: str, revision: int | None, *, force: bool) -> None:
        """Raises EntityTypeNotFound, EntityTypeInUse, StaleEtag or Contended."""
        failure = Contended()
        for _ in range(_TRIES):
            read = await self._store.current(name)
            if read.definition is None:
                raise EntityTypeNotFound
            _require_current(revision, read)
            try:
                if await self._store.delete(name, read, force=force):
                    return
            except Contended as contended:
                failure = contended
                await _let_writers_go_on()
        raise failure

    async def check(self, definition: EntityType, after: str, limit: int) -> Checked:
        """Check one page of aggregates, those with ids after `after`, against a definition."""
        return await self._aggregates(definition).page(after, limit)

    def violations(self, definition: EntityType) -> list[FieldViolation]:
        """Everything that is wrong with a definition; the fields are paths from it."""
        return entity_type_violations(definition, self._compiler, self._limits)

    async def _try(
        self,
        definition: EntityType,
        read: CurrentType,
        found: Sequence[Difference],
        validate_only: bool,
        accept_existing: bool,
    ) -> Applied | None:
        """Apply, or None if another change or a failover came in between."""
        incompatible = [each for each in found if not each.compatible]
        check = self._aggregates(definition)
        progress = self._left_off(definition, read) or Progress(await self._store.mark())
        with self._resumable(definition, read, progress):
            if incompatible:
                await check.all(progress)
            if validate_only:
                return Applied(definition, found, progress.broken.aggregates)
            guard = None
            if incompatible and not accept_existing:
                guard = _Guard(check, await self._store.now(), incompatible)
                guard.refuse(progress.broken)
            try:
                made = await self._replace(read, definition, guard, progress)
            except MarkExpired:
                return None
        if made is None:
            return None
        log.info("entity type %s is at revision %d", made.name, made.revision)
        return Applied(made, found, progress.broken.aggregates)

    @contextmanager
    def _resumable(
        self, definition: EntityType, read: CurrentType, progress: Progress
    ) -> Iterator[None]:
        """Remember how far a check came that ends in the block, though nothing was decided."""
        try:
            yield
        except (Unavailable, asyncio.CancelledError):
            found = Interrupted(definition, read.revision, progress, time.monotonic())
            self._interrupted[definition.name] = found
            while len(self._interrupted) > _MAX_INTERRUPTED:
                del self._interrupted[next(iter(self._interrupted))]
            raise

    def _left_off(self, definition: EntityType, read: CurrentType) -> Progress | None:
        """How far the same check came before it was interrupted."""
        found = self._interrupted.pop(definition.name, None)
        if found is None or time.monotonic() - found.at > _RESUMABLE:
            return None
        same = found.definition == definition and found.revision == read.revision
        return found.progress if same else None

    async def _replace(
        self,
        read: CurrentType,
        definition: EntityType,
        guard: "_Guard | None",
        progress: Progress,
    ) -> EntityType | None:
        """Apply what was checked, with what was written since.

        All but a rest is checked while writers go on. Raises MarkExpired.
        """
        failure = Contended()
        for _ in range(_TRIES):
            try:
                if guard is not None:
                    progress.since = await guard.follow(progress.since)
                return await self._store.replace(read, definition, guard, progress.since)
            except Contended as contended:
                failure = contended
                await _let_writers_go_on()
        raise failure

    def _aggregates(self, definition: EntityType) -> AggregateCheck:
        return AggregateCheck(self._store, Policy(definition, self._compiler))


class _Guard:
    """Refuses aggregates that break a definition, written while the others were counted."""

    def __init__(
        self, check: AggregateCheck, now: Timestamp, incompatible: Sequence[Difference]
    ) -> None:
        self._check = check
        self._now = now
        self._incompatible = incompatible
        self._until: float | None = None

    async def follow(self, since: Mark) -> Mark:
        """Check what was written since; returns the mark from which on little was."""
        mark, broken = await self._check.follow(since, self._now)
        self.refuse(broken)
        self._until = None
        return mark

    async def __call__(self, page: Sequence[ScannedAggregate]) -> None:
        """Check some of the rest, for which writers wait."""
        if self._until is None:
            self._until = time.monotonic() + _LONG
        self.refuse(await self._check.broken(page, self._now, self._until))

    def refuse(self, broken: Broken) -> None:
        if broken.aggregates:
            raise _incompatible(broken, self._incompatible)


async def _let_writers_go_on() -> None:
    await asyncio.sleep(random.uniform(_PAUSE / 2, _PAUSE))  # noqa: S311


def _require_current(revision: int | None, read: CurrentType) -> None:
    if revision is not None and (revision != read.revision or read.definition is None):
        raise StaleEtag(read.revision)


def _incompatible(broken: Broken, found: Sequence[Difference]) -> IncompatibleChange:
    return IncompatibleChange(
        broken.aggregates,
        [
            RuleViolation("INCOMPATIBLE", path, f"{before or 'nothing'} → {after or 'nothing'}")
            for path, before, after, _ in found
        ],
        broken.by_subject,
    )
