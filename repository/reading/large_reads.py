"""Reads of large aggregates, beside the reads of small ones.

They are measured first, so what is too much is refused before it is read, and the rest waits until
there is room for the answer. Then they are read in pieces, all in one snapshot: no statement gives
more than a piece, and the event loop turns in between.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.ports import AnswerRoom, Snapshot, StoredAggregate
from domain.timestamp import Timestamp
from repository.array_arguments import lines
from repository.connections.bulkhead import Bulkhead
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Connection
from repository.entity_types.expiry import Expiry
from repository.reading.read_coalescer import ReadCoalescer, TooLarge
from repository.statements import READ

PIECE_BYTES: Final = 4 * 2**20
"""Of the states that one statement reads, unless it is one alone."""

FEW_KEYS: Final = 7

_ANY_SIZE: Final = 2**31 - 1

_ByKey: TypeAlias = dict[EntityKey, StoredAggregate]


class _Measured(NamedTuple):
    """What a snapshot has of some keys."""

    sizes: dict[EntityKey, int]
    """Of the states that there are."""
    epoch: int
    generation: int
    """Of the entity types."""
    in_doubt: bool
    """Whether something of it may be lost yet."""
    read_time: Timestamp


class LargeReads:
    """Reads aggregates of any size.

    A request of few keys goes along with others of its like; one of more has a snapshot of its own,
    a few at a time.
    """

    def __init__(
        self,
        pool: ReadCommittedPool,
        in_doubt: CommitsInDoubt,
        few: ReadCoalescer,
        bulkhead: Bulkhead,
        expiry: Expiry,
        limits: Limits,
    ) -> None:
        """`few` has a share of a query for each of FEW_KEYS that any aggregate fits into.

        Each attempt to read more on `pool` is a piece of work of the bulkhead.
        """
        self._pool = pool
        self._in_doubt = in_doubt
        self._few = few
        self._bulkhead = bulkhead
        self._expiry = expiry
        self._limits = limits

    async def read(
        self, keys: Sequence[EntityKey], measured: TooLarge, room: AnswerRoom | None
    ) -> Snapshot:
        """Read every key in one snapshot. See domain.ports.AggregateReader."""
        needed, taken = measured.bytes, 0
        while True:
            if needed > self._limits.answer_bytes:
                limit = self._limits.answer_bytes
                raise LimitExceeded("bytes of aggregates in an answer", limit, needed)
            # Who waits for room holds neither connection nor snapshot.
            if room is not None:
                await room.take(needed - taken)
            taken = needed
            found = await self._read(keys, taken)
            if not isinstance(found, TooLarge):
                return found
            needed = found.bytes

    async def _read(self, keys: Sequence[EntityKey], room: int) -> Snapshot | TooLarge:
        """Read no more than there is room; what has grown since it was measured is too large."""
        if len(keys) <= FEW_KEYS:
            few = await self._few.read(keys)
            if not isinstance(few, TooLarge):
                return few
        return await self._bulkhead.run(lambda: self._read_in_pieces(keys, room))

    async def _read_in_pieces(self, keys: Sequence[EntityKey], room: int) -> Snapshot | TooLarge:
        different = list(dict.fromkeys(keys))

        async def work(connection: Connection) -> tuple[int, _Measured, _ByKey]:
            measured = await _measure(connection, different)
            needed = sum(measured.sizes.get(key, 0) for key in keys)
            found: _ByKey = {}
            if needed <= room:
                for piece in _pieces(measured.sizes):
                    found |= await _read_piece(connection, piece)
            return needed, measured, found

        server = self._in_doubt.generation
        needed, measured, found = await self._pool.read_snapshot(work)
        if measured.in_doubt:
            await self._in_doubt.settle(server)
        if needed > room:
            return TooLarge(needed)
        await self._expiry.catch_up(measured.epoch, measured.generation)
        # Out of `found`, so that of each aggregate there is only one form at a time.
        served = [found.pop(key, None) for key in different]
        await self._expiry.serve(different, served, measured.read_time)
        by_key = dict(zip(different, served, strict=True))
        return Snapshot((by_key[key] for key in keys), measured.read_time)


async def _measure(connection: Connection, keys: Sequence[EntityKey]) -> _Measured:
    records = await connection.fetch(READ["measure_aggregates"], *_names(keys))
    sizes = {
        keys[record["ordinal"] - 1]: record["size"]
        for record in records
        if record["ordinal"] is not None
    }
    first = records[0]
    return _Measured(
        sizes,
        first["epoch"],
        first["types_generation"],
        first["in_doubt"],
        from_datetime(first["read_time"]),
    )


def _pieces(sizes: dict[EntityKey, int]) -> Iterator[list[EntityKey]]:
    piece: list[EntityKey] = []
    room = PIECE_BYTES
    for key, size in sizes.items():
        if piece and size > room:
            yield piece
            piece, room = [], PIECE_BYTES
        piece.append(key)
        room -= size
    if piece:
        yield piece


async def _read_piece(connection: Connection, keys: Sequence[EntityKey]) -> _ByKey:
    record = await connection.fetchrow(READ["read_aggregates"], *_names(keys), _ANY_SIZE)
    assert record is not None
    epoch, *_, ordinals, uids, versions, states = record
    return {
        keys[ordinal - 1]: StoredAggregate(uid, epoch, version, state)
        for ordinal, uid, version, state in zip(ordinals, uids, versions, states, strict=True)
    }


def _names(keys: Sequence[EntityKey]) -> list[str]:
    return [lines([key.entity_type for key in keys]), lines([key.entity_id for key in keys])]
