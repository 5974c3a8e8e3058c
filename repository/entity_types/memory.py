"""Entity types in memory, for tests that need no database."""

import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from codec.entity_type import dump_entity_type
from codec.state import load_features
from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.entity_type_store import (
    CurrentType,
    Guard,
    ListedTypes,
    Mark,
    ScannedAggregate,
    ScannedPage,
)
from domain.errors import EntityTypeInUse
from domain.policy import Policy
from domain.ports import StoredAggregate
from domain.rules import RuleCompiler
from domain.timestamp import MICROSECOND, Timestamp
from repository.page_length import page_length


class MemoryEntityTypes:
    """Implements EntityTypeStore over a dictionary of aggregates."""

    def __init__(self, stored: Mapping[EntityKey, StoredAggregate], compiler: RuleCompiler) -> None:
        self._stored = stored
        self._compiler = compiler
        self._revisions: dict[str, list[EntityType | None]] = {}
        self._times: dict[str, list[Timestamp]] = {}
        """When each revision came into force."""
        self._policies: dict[str, Policy | None] = {}

    def policy(self, name: str) -> Policy | None:
        """What is asked of updates of a type now."""
        return self._policies.get(name)

    async def current(self, name: str) -> CurrentType:
        revisions = self._revisions.get(name, [])
        return CurrentType(len(revisions), revisions[-1] if revisions else None)

    async def revision(self, name: str, revision: int) -> EntityType | None:
        revisions = self._revisions.get(name, [])
        return revisions[revision - 1] if 0 < revision <= len(revisions) else None

    def in_force(self, name: str, time: Timestamp) -> EntityType | None:
        """The revision of a moment."""
        number = bisect_right(self._times.get(name, []), time)
        return self._revisions[name][number - 1] if number else None

    async def list_types(self, after: str, limit: int, max_bytes: int) -> ListedTypes:
        current = (revisions[-1] for revisions in self._revisions.values())
        types = (definition for definition in current if definition is not None)
        listed = sorted((each for each in types if each.name > after), key=lambda each: each.name)
        sizes = (len(dump_entity_type(each)) for each in listed)
        page = listed[: page_length(sizes, limit, max_bytes)]
        return ListedTypes(page, more=len(page) < len(listed))

    async def replace(
        self, read: CurrentType, definition: EntityType, guard: Guard | None, since: Mark
    ) -> EntityType | None:
        if guard is not None:
            async with aclosing(self.written_since(definition.name, since)) as written:
                async for page in written:
                    await guard(page)
        revisions = self._revisions.setdefault(definition.name, [])
        if len(revisions) != read.revision:
            return None
        now = await self.now()
        created = read.definition.create_time if read.definition else now
        made = replace(definition, revision=read.revision + 1, create_time=created, update_time=now)
        revisions.append(made)
        self._times.setdefault(definition.name, []).append(now)
        self._policies[definition.name] = Policy(made, self._compiler)
        return made

    async def delete(self, name: str, read: CurrentType, *, force: bool) -> bool:
        if self._scanned(name) and not force:
            raise EntityTypeInUse
        revisions = self._revisions[name]
        if len(revisions) != read.revision:
            return False
        revisions.append(None)
        self._times[name].append(await self.now())
        self._policies[name] = None
        return True

    async def now(self) -> Timestamp:
        return time.time_ns() // MICROSECOND * MICROSECOND

    async def mark(self) -> Mark:
        return dict(self._stored)

    async def scan(self, name: str, after: str, limit: int) -> ScannedPage:
        rest = [each for each in self._scanned(name) if each.entity_id > after]
        return ScannedPage(rest[:limit], more=len(rest) > limit)

    async def written_since(
        self, name: str, since: Mark
    ) -> AsyncGenerator[Sequence[ScannedAggregate], None]:
        assert isinstance(since, dict)
        yield [
            each
            for each in self._scanned(name)
            if self._stored[key := EntityKey(name, each.entity_id)] is not since.get(key)
        ]

    async def count(self, name: str) -> int:
        return len(self._scanned(name))

    def _scanned(self, name: str) -> list[ScannedAggregate]:
        return [
            ScannedAggregate(key.entity_id, load_features(stored.state))
            for key, stored in sorted(self._stored.items())
            if key.entity_type == name
        ]
