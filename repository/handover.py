"""What a batch hands over to the one right behind it.

While a batch is written, nothing could be done for its keys but wait. So the next batch of a hot
key is evaluated meanwhile, on the rows as the one ahead leaves them, and written when that is
committed. If it is not, the one behind was evaluated in vain, and nothing of it was written or
answered. After the pre-committed transactions of DeWitt et al., "Implementation Techniques for Main
Memory Database Systems" (1984).
"""

import asyncio
from collections.abc import Iterable, Mapping

from domain.entity_key import EntityKey
from repository.evaluation import KnownRequest
from repository.row import Row
from repository.snapshot import Snapshot


class Withdrawn(Exception):
    """The batch ahead was not committed as a whole, or has nothing to hand over."""


class Handover:
    """From one batch to the next."""

    def __init__(self, place: int = 0) -> None:
        """`place` is that of the batch ahead in its chain, from 0."""
        self.place = place
        loop = asyncio.get_running_loop()
        self._rows: asyncio.Future[Mapping[EntityKey, Row] | None] = loop.create_future()
        self._transaction: asyncio.Future[int | None] = loop.create_future()
        self.is_committed = False
        """Whether all of the batch was committed."""

    def offer(self, rows: Mapping[EntityKey, Row]) -> None:
        """Leave the aggregates of `rows` to the batch behind, which changes them.

        From now on, the batch ahead must not look at them any more.
        """
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
        """The rows of the batch ahead, as soon as it has left them. Raises Withdrawn."""
        rows = await self._rows
        if rows is None:
            raise Withdrawn
        return rows

    async def take_over(self, found: Snapshot) -> Snapshot:
        """What the batch behind has read, with what the one ahead changes as that leaves it.

        Raises Withdrawn, also if the one ahead was evaluated by other revisions of entity types.
        """
        left = {key: row for key, row in (await self.rows()).items() if row.records}
        rows = {
            key: _behind(left[key], row) if key in left else row for key, row in found.rows.items()
        }
        answered = {
            (key, request.request_id): KnownRequest(request.fingerprint, request.outcome)
            for key, row in left.items()
            for request in row.requests
        }
        return found._replace(rows=rows, known=found.known | answered)

    async def follow(self, rows: Iterable[Row]) -> None:
        """Wait until `rows`, which were taken over, can be written. Raises Withdrawn."""
        transaction = await self._transaction
        if transaction is None:
            raise Withdrawn
        for row in rows:
            row.follow(transaction)


def _behind(left: Row, found: Row) -> Row:
    same_type = left.type_revision == found.type_revision
    if not same_type or left.aggregate.epoch != found.aggregate.epoch:
        raise Withdrawn
    return left.behind(found.number)
