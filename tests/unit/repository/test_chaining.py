"""What the batch behind takes over from the one ahead, and what it must not."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from codec.state import new_aggregate
from domain.entity_key import EntityKey
from domain.limits import Limits
from repository.writing.chaining import ChainBroken, ChainLink
from repository.writing.row import Row, StoredRow
from repository.writing.snapshot import Snapshot
from tests.kit.samples import NOW, entity, put, update

HERE, THERE = entity("here"), entity("there")


def row(key: EntityKey, *, epoch: int = 1, type_revision: int = 0) -> Row:
    aggregate = new_aggregate(key, uuid4(), epoch)
    aggregate.apply(update(put("f", 1), key=key), NOW)
    return Row(
        number=1,
        unit=1,
        key=key,
        read=StoredRow(7, 1),
        existed=True,
        aggregate=aggregate,
        limits=Limits(),
        type_revision=type_revision,
    )


def changed(row: Row) -> Row:
    row.update(update(put("f", 2), key=row.key), NOW)
    return row


def snapshot(*rows: Row) -> Snapshot:
    return Snapshot({row.key: row for row in rows}, {}, datetime.now(UTC), in_doubt=False)


async def test_only_what_is_changed_is_taken_over() -> None:
    ahead, found = ChainLink(), snapshot(row(HERE), row(THERE))
    left = {HERE: changed(row(HERE)), THERE: row(THERE)}
    ahead.offer(left)
    taken = await ahead.inherit(found)
    assert taken.rows[HERE].aggregate.features == left[HERE].aggregate.features
    # A message keeps the memory of all that it ever held: a chain would grow as long as it lasts.
    assert taken.rows[HERE].aggregate.features is not left[HERE].aggregate.features
    assert taken.rows[THERE] is found.rows[THERE]
    ahead.committed(99)
    await ahead.follow()
    assert taken.rows[HERE].read == StoredRow(99, 2)
    assert taken.rows[THERE].read == StoredRow(7, 1)


@pytest.mark.parametrize("other", [{"epoch": 2}, {"type_revision": 2}], ids=str)
async def test_nothing_is_taken_over_that_other_rules_were_asked_of(other: dict[str, int]) -> None:
    ahead = ChainLink()
    ahead.offer({HERE: changed(row(HERE))})
    with pytest.raises(ChainBroken):
        await ahead.inherit(snapshot(row(HERE, **other)))


@pytest.mark.parametrize("found", [StoredRow(7, 1), StoredRow(99, 2), StoredRow(100, 3), None])
async def test_what_somebody_else_has_written_since_is_not_answered_for(
    found: StoredRow | None,
) -> None:
    ahead, read = ChainLink(), row(HERE)
    ahead.offer({HERE: changed(row(HERE))})
    read.read = found
    await ahead.inherit(snapshot(read))
    ahead.committed(99)
    if found in (StoredRow(7, 1), StoredRow(99, 2)):
        await ahead.follow()
    else:
        with pytest.raises(ChainBroken):
            await ahead.follow()


async def test_what_was_not_handed_over_in_the_end_is_withdrawn() -> None:
    ahead = ChainLink()
    ahead.end()
    with pytest.raises(ChainBroken):
        await ahead.inherit(snapshot(row(HERE)))
    with pytest.raises(ChainBroken):
        await ahead.follow()
    assert not ahead.is_committed


async def test_what_is_committed_stays_so() -> None:
    ahead = ChainLink()
    ahead.offer({})
    ahead.committed(5)
    ahead.end()
    await ahead.follow()
    assert ahead.is_committed
