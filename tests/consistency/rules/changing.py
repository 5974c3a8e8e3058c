"""Changing definitions while clients write, one change after the other."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import asyncpg
import grpc

from featom.v1.entity_type_service_pb2 import (
    INCOMPATIBLE_CHANGE_ACCEPT_EXISTING,
    INCOMPATIBLE_CHANGE_REFUSE,
    ApplyEntityTypeRequest,
    DeleteEntityTypeRequest,
)
from tests.consistency.rules.drawing import TYPES, draw_type
from tests.consistency.rules.plain_type import PlainType
from tests.consistency.rules.wire import refusal_of, type_message

if TYPE_CHECKING:
    from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceAsyncStub

_SNAPSHOT = """
SELECT pg_snapshot_xmax(s)::text::bigint AS xmax,
    ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(s) AS x) AS xip
FROM pg_current_snapshot() AS s
"""


@dataclass
class Revision:
    """One revision of a type, and when it came."""

    definition: PlainType | None
    """None: there is no entity type."""
    asked: int
    """When, of the monotonic clock; it may have counted from then on."""
    returned: int = 0
    """From then on no other counts; 0: it has not returned yet."""
    xmax: int = 0
    xip: frozenset[int] = frozenset()
    """What was committed just after it returned: xids below xmax that are not in xip."""

    def was_committed(self, xid: int) -> bool:
        return xid < self.xmax and xid not in self.xip


@dataclass
class Changed:
    """All revisions, by type; revision 0 is that there is no entity type."""

    revisions: dict[str, list[Revision]] = field(
        default_factory=lambda: {name: [Revision(None, 0, 0)] for name in TYPES}
    )
    refused: int = 0
    """How many changes stored aggregates stood against."""

    def counting(self, name: str, begin: int, end: int) -> list[PlainType | None]:
        """The definitions that may have counted at some time from `begin` to `end`."""
        revisions = self.revisions[name]
        first = max(n for n, each in enumerate(revisions) if n == 0 or 0 < each.returned <= begin)
        return [each.definition for each in revisions[first:] if each.asked <= end]


class Changer:
    """Applies definitions, and deletes them now and then."""

    def __init__(
        self,
        chance: Random,
        services: "Sequence[EntityTypeServiceAsyncStub]",
        connection: "asyncpg.Connection[asyncpg.Record]",
    ) -> None:
        self._chance = chance
        self._services = services
        self._connection = connection
        self.changed = Changed()

    async def run(self, changes: int, pause: float) -> None:
        for _ in range(changes):
            await self._change(self._chance.choice(TYPES))
            await asyncio.sleep(self._chance.uniform(0, 2 * pause))

    async def _change(self, name: str) -> None:
        revisions = self.changed.revisions[name]
        service = self._chance.choice(self._services)
        delete = revisions[-1].definition is not None and self._chance.random() < 0.1
        definition = None if delete else draw_type(self._chance, name)
        revision = Revision(definition, time.monotonic_ns())
        # It may count before we are told.
        revisions.append(revision)
        if definition is None:
            await service.DeleteEntityType(DeleteEntityTypeRequest(name=name, force=True))
        elif not await self._applied(service, definition, len(revisions) - 1):
            revisions.pop()
            self.changed.refused += 1
            return
        revision.returned = time.monotonic_ns()
        seen = await self._connection.fetchrow(_SNAPSHOT)
        assert seen is not None
        revision.xmax, revision.xip = seen["xmax"], frozenset(seen["xip"])

    async def _applied(
        self, service: "EntityTypeServiceAsyncStub", definition: PlainType, revision: int
    ) -> bool:
        refuse = self._chance.random() < 0.2
        mode = INCOMPATIBLE_CHANGE_REFUSE if refuse else INCOMPATIBLE_CHANGE_ACCEPT_EXISTING
        request = ApplyEntityTypeRequest(
            entity_type=type_message(definition), incompatible_change=mode
        )
        try:
            answer = await service.ApplyEntityType(request, timeout=30)
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            expected = "INCOMPATIBLE_CHANGE" if refuse else None
            assert refusal.reason == expected, refusal
            return False
        assert answer.entity_type.revision == revision
        return True
