"""The entity types that this server has compiled."""

from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from codec.entity_type import load_entity_type
from domain.errors import DatabaseUnavailable
from domain.policy import Policy
from domain.rules import RuleCompiler
from repository.connections.isolation import ReadCommittedPool
from repository.statements import TYPES

_KEPT: Final = 4
"""Revisions of a type: those used last. Batches that were read before a change may still be under
way, and the past is asked for."""


Kept: TypeAlias = dict[str, dict[int, Policy | None]]


class Catalogue:
    """Policies by name and revision. Within an epoch a revision never changes, so what is here is
    never old; in the next one its number may be given again."""

    def __init__(self, pool: ReadCommittedPool, compiler: RuleCompiler) -> None:
        self._pool = pool
        self._compiler = compiler
        self._epoch = 0
        self._policies: Kept = {}

    async def ensure_rows(self, names: Collection[str]) -> None:
        """See to it that these types have a row to lock."""
        await self._pool.ensure(TYPES.idempotent("ensure_rows"), list(names))

    async def policies(self, revisions: Mapping[str, int], epoch: int) -> dict[str, Policy | None]:
        """The policy of each type at a revision of an epoch; None where there is no entity type.

        Raises DatabaseUnavailable if the database is in another epoch by now.
        """
        if epoch != self._epoch:
            self._epoch, self._policies = epoch, {}
        policies: dict[str, Policy | None] = {}
        unknown: dict[str, int] = {}
        for name, revision in revisions.items():
            kept = self._policies.get(name, {})
            if not revision:
                policies[name] = None
            elif revision in kept:
                # The last one is the one that was used last.
                policies[name] = kept[revision] = kept.pop(revision)
            else:
                unknown[name] = revision
        if unknown:
            policies |= await self._load(unknown, epoch, self._policies)
        return policies

    async def _load(
        self, revisions: Mapping[str, int], epoch: int, known: Kept
    ) -> dict[str, Policy | None]:
        records = await self._pool.read(
            TYPES.query("read_revisions"), list(revisions), list(revisions.values())
        )
        policies: dict[str, Policy | None] = {}
        for name, revision, definition, found_in in records:
            if found_in != epoch:
                raise DatabaseUnavailable("The epoch of the database was raised just now.")
            policies[name] = (
                None if definition is None else Policy(load_entity_type(definition), self._compiler)
            )
            kept = known.setdefault(name, {})
            kept[revision] = policies[name]
            while len(kept) > _KEPT:
                del kept[next(iter(kept))]
        return policies
