"""Applying entity types: what is wrong with one, what it changes, what it would break."""

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
from server.checking import AggregateCheck, Checked

_TRIES: Final = 10

log = logging.getLogger(__name__)


class Applied(NamedTuple):
    """The outcome of an apply."""

    entity_type: EntityType
    differences: Sequence[Difference]
    violating: int


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
        """Apply, or None if another change came in between."""
        incompatible = [each for each in found if not each.compatible]
        since = await self._store.now()
        violating = await self._aggregates(definition).count() if incompatible else 0
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

    def _aggregates(self, definition: EntityType) -> AggregateCheck:
        return AggregateCheck(self._store, Policy(definition, self._compiler))


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
