"""Applying entity types: what is wrong with one, what it changes, what it would break."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.differences import Difference, differences
from domain.entity_type import EntityType
from domain.entity_type_store import CurrentType, EntityTypeStore, ScannedAggregate
from domain.entity_type_violations import entity_type_violations
from domain.errors import (
    Contended,
    EntityTypeNotFound,
    FieldViolation,
    IncompatibleChange,
    RuleViolation,
    StaleEtag,
)
from domain.limits import Limits
from domain.policy import Policy
from domain.rules import RuleCompiler

_PAGE: Final = 200
_MAX_NAMED: Final = 2_000
"""Violations after which a page ends, so that clients take the answer."""
_PAUSE_EVERY: Final = 20
_TRIES: Final = 10
_REPORT_EVERY: Final = 20_000

log = logging.getLogger(__name__)


class Applied(NamedTuple):
    """The outcome of an apply."""

    entity_type: EntityType
    differences: Sequence[Difference]
    violating: int


class Checked(NamedTuple):
    """What a check of one page found."""

    checked: int
    violating: Sequence[tuple[str, Sequence[RuleViolation]]]
    last_id: str
    """Empty if this was the last page."""


class EntityTypes:
    """Changes entity types and checks aggregates against them."""

    def __init__(self, store: EntityTypeStore, compiler: RuleCompiler, limits: Limits) -> None:
        self._store = store
        self._compiler = compiler
        self._limits = limits

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
        Raises StaleEtag or IncompatibleChange, and has then changed nothing.
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
        """Raises EntityTypeNotFound, EntityTypeInUse or StaleEtag."""
        for _ in range(_TRIES):
            read = await self._store.current(name)
            if read.definition is None:
                raise EntityTypeNotFound
            _require_current(revision, read)
            if await self._store.delete(name, read, force=force):
                return
        raise Contended

    async def check(self, definition: EntityType, after: str, limit: int) -> Checked:
        """Check one page of aggregates, those with ids after `after`, against a definition."""
        return await self._check(Policy(definition, self._compiler), after, limit)

    async def _check(self, policy: Policy, after: str, limit: int) -> Checked:
        now = await self._store.now()
        page = await self._store.scan(policy.definition.name, after, limit)
        violating = []
        named = 0
        for number, (entity_id, features) in enumerate(page, start=1):
            if violations := policy.state_violations(entity_id, features, now):
                violating.append((entity_id, violations))
                named += len(violations)
            if named > _MAX_NAMED and number < len(page):
                return Checked(number, violating, entity_id)
            if number % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)  # other calls have their turn
        return Checked(len(page), violating, page[-1].entity_id if len(page) == limit else "")

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
        """Apply, or None if another change came in between."""
        incompatible = [each for each in found if not each.compatible]
        since = await self._store.now()
        violating = await self._count_violating(definition) if incompatible else 0
        if validate_only:
            return Applied(definition, found, violating)
        if violating and not accept_existing:
            raise _incompatible(violating, incompatible)
        guard = None
        if incompatible and not accept_existing:
            guard = _Guard(Policy(definition, self._compiler), since, incompatible)
        made = await self._store.replace(read, definition, guard, since)
        if made is None:
            return None
        log.info("entity type %s is at revision %d", made.name, made.revision)
        return Applied(made, found, violating)

    async def _count_violating(self, definition: EntityType) -> int:
        policy = Policy(definition, self._compiler)
        checked = violating = 0
        after = ""
        while True:
            page = await self._check(policy, after, _PAGE)
            checked += page.checked
            violating += len(page.violating)
            if checked % _REPORT_EVERY < page.checked and checked >= _REPORT_EVERY:
                log.info(
                    "%s: %d aggregates checked, %d violating", definition.name, checked, violating
                )
            if not page.last_id:
                return violating
            after = page.last_id


class _Guard:
    """Refuses aggregates that break a definition, written while the others were counted."""

    def __init__(self, policy: Policy, now: int, incompatible: Sequence[Difference]) -> None:
        self._policy = policy
        self._now = now
        self._incompatible = incompatible

    def __call__(self, page: Sequence[ScannedAggregate]) -> None:
        violating = sum(
            bool(self._policy.state_violations(entity_id, features, self._now))
            for entity_id, features in page
        )
        if violating:
            raise _incompatible(violating, self._incompatible)


def _require_current(revision: int | None, read: CurrentType) -> None:
    if revision is not None and (revision != read.revision or read.definition is None):
        raise StaleEtag(read.revision)


def _incompatible(violating: int, found: Sequence[Difference]) -> IncompatibleChange:
    return IncompatibleChange(
        violating,
        [
            RuleViolation("INCOMPATIBLE", path, f"{before or 'nothing'} → {after or 'nothing'}")
            for path, before, after, _ in found
        ],
    )
