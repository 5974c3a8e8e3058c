"""What a batch hands over to the one right behind it.

While a batch is written, nothing could be done for its keys but wait. So the next batch of a hot
key is evaluated meanwhile, on the rows as the one ahead leaves them, and written when that is
committed. If it is not, the one behind is tried again: nothing of it was written or answered. After
the pre-committed transactions of DeWitt et al., "Implementation Techniques for Main Memory Database
Systems" (1984).
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from application.evaluation import KnownRequest
from domain.entity_key import EntityKey
from repository.writing.row import Row, StoredRow
from repository.writing.snapshot import Snapshot


class ChainBroken(Exception):
    """The batch ahead was not committed as a whole, or has nothing to hand over."""


class ChainLink:
    """From one batch to the next."""

    def __init__(self, place: int = 0) -> None:
        """`place` is that of the batch ahead in its chain, from 0."""
        self.place = place
        loop = asyncio.get_running_loop()
        self._rows: asyncio.Future[Mapping[EntityKey, Row] | None] = loop.create_future()
        self._transaction: asyncio.Future[int | None] = loop.create_future()
        self._taken: list[InheritedRow] = []
        self.is_committed = False
        """Whether all of the batch was committed."""

    def offer(self, rows: Mapping[EntityKey, Row]) -> None:
        """Let the batch behind see `rows`, which do not change any more."""
        self._rows.set_result(rows)

    def committed(self, transaction: int) -> None:
        """All of the batch was committed, by the transaction of this number."""
        self.is_committed = True
        self._transaction.set_result(transaction)

    def end(self) -> None:
        """Withdraw what was not handed over by now."""
        for part in (self._rows, self._transaction):
            if not part.done():
                part.set_result(None)

    async def rows(self) -> Mapping[EntityKey, Row]:
        """The rows of the batch ahead, as soon as it has left them. Raises ChainBroken."""
        rows = await self._rows
        if rows is None:
            raise ChainBroken
        return rows

    async def inherit(self, found: Snapshot) -> Snapshot:
        """What the batch behind has read, with what the one ahead changes as that leaves it.

        Raises ChainBroken, also if the one ahead was evaluated by other revisions of entity types.
        """
        offered = await self.rows()
        left = {key: row for key, row in offered.items() if row.writes}
        rows = dict(found.rows)
        for key in left.keys() & rows.keys():
            taken = InheritedRow(left[key], rows[key], left[key].behind(rows[key].number))
            taken.require_same_rules()
            self._taken.append(taken)
            rows[key] = taken.row
        answered = {
            (key, request.request_id): KnownRequest(request.fingerprint, request.outcome)
            for key, row in offered.items()
            for request in row.requests
        }
        return found._replace(rows=rows, known=found.known | answered)

    async def follow(self) -> None:
        """Wait until what was taken over is committed, so that it can be written upon.

        Raises ChainBroken, also if somebody else has written it since.
        """
        transaction = await self._transaction
        if transaction is None:
            raise ChainBroken
        for taken in self._taken:
            taken.follow(transaction)


class InheritedRow(NamedTuple):
    """A row that the batch behind takes from the one ahead."""

    ahead: Row
    """As the batch ahead leaves it."""
    found: Row
    """What the batch behind has read, before or after the one ahead was committed."""
    row: Row
    """What it goes on with."""

    def require_same_rules(self) -> None:
        same_type = self.ahead.type_revision == self.found.type_revision
        if not same_type or self.ahead.aggregate.epoch != self.found.aggregate.epoch:
            raise ChainBroken

    def follow(self, transaction: int) -> None:
        written = self.ahead.after
        if written is not None:
            written = StoredRow(transaction, written.version)
        # Only what is written is checked once more when it is: a refusal must be right by itself.
        if self.found.read not in (self.ahead.read, written):
            raise ChainBroken
        self.row.read = written
        # What found no row looked before the one ahead made it, or after somebody deleted it again.
        self.row.unseen = written is not None and self.found.read is None
