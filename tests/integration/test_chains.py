"""Batches that are evaluated while the one ahead of them is being written."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from application.entity_types import EntityTypes
from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.errors import InvalidValue, RequestIdReused, RuleViolated, StaleEtag
from domain.feature_spec import FeatureSpec
from domain.limits import Limits
from domain.outcome import DeletionOutcome, UpdateOutcome
from domain.update import Command, Deletion, UpdateBatch
from domain.values import FeatureValue, ValueKind
from repository.writing.chaining import ChainLink
from repository.writing.contention import _lock_id
from tests.integration.chained_batches import Chain, chain, waiting
from tests.kit.fault_injection import Session, touch
from tests.kit.reading import current_features
from tests.kit.samples import add, put, remove, update
from tests.kit.waiting import eventually

__all__ = ["chain"]


async def test_it_is_written_on_what_the_one_ahead_wrote(chain: Chain, key: EntityKey) -> None:
    await chain.repository.update(update(put("f", 1), key=key))
    writes = chain.pool.writes
    one, two, three = await chain.run(
        update(add("f", 10), key=key),
        update(add("f", 100), key=key, return_aggregate=True),
        update(add("g", 1), key=key),
    )
    assert [one.version, two.version, three.version] == [2, 3, 4]
    assert two.state_etag == two.etag
    assert chain.pool.writes == writes + 2
    assert chain.repository.statistics.undecided == 0
    assert chain.repository.statistics.chained == 1
    assert await current_features(chain.repository, key) == {"f": 111, "g": 1}


async def test_a_new_aggregate_and_a_new_incarnation_can_be_followed(
    chain: Chain, key: EntityKey
) -> None:
    new, deleted = await chain.run(update(put("f", 1), key=key), Deletion(key=key))
    assert isinstance(new, UpdateOutcome)
    assert isinstance(deleted, DeletionOutcome)
    await chain.repository.update(update(put("f", 2), key=key))
    deleted, again = await chain.run(Deletion(key=key), update(put("f", 3), key=key))
    assert again.version == 1
    assert again.uid != new.uid
    assert again.update_time > deleted.delete_time
    assert await current_features(chain.repository, key) == {"f": 3}
    assert chain.repository.statistics.undecided == 0


@pytest.mark.parametrize("answer", ["another writer", "lost"])
async def test_when_the_one_ahead_is_not_committed_all_is_done_again_in_order(
    chain: Chain, key: EntityKey, session: Session, answer: str
) -> None:
    first = await chain.repository.update(update(put("f", 1), key=key))

    async def fails() -> None:
        if answer == "lost":
            chain.pool.lost_answers = 1
        else:
            await touch(session, key)

    one, two, refused = await chain.run(
        update(add("f", 10), key=key, etag=first.etag),
        update(add("f", 100), key=key),
        update(add("f", 1000), key=key, etag=first.etag),
        meanwhile=fails,
    )
    assert [one.version, two.version] == [2, 3]
    assert isinstance(refused, StaleEtag)
    assert chain.repository.statistics.undecided == 3
    assert await current_features(chain.repository, key) == {"f": 111}


async def test_a_request_id_of_the_one_ahead_is_known(chain: Chain, key: EntityKey) -> None:
    request_id = uuid4()

    def asked(fingerprint: bytes) -> Command:
        return update(add("f", 1), key=key, request_id=request_id, fingerprint=fingerprint)

    one, again, other = await chain.run(asked(b"1"), asked(b"1"), asked(b"2"))
    assert (one.version, one.replayed) == (1, False)
    assert (again.version, again.replayed) == (1, True)
    assert isinstance(other, RequestIdReused)
    assert await current_features(chain.repository, key) == {"f": 1}


async def test_a_batch_that_is_refused_behind_another_leaves_what_that_wrote(
    chain: Chain, key: EntityKey
) -> None:
    await chain.repository.update(update(put("f", 1), key=key))
    both = UpdateBatch(updates=(update(add("f", 10), key=key), update(put("f", "x"), key=key)))
    one, refused, two = await chain.run(
        update(add("f", 100), key=key), both, update(add("f", 1000), key=key)
    )
    assert [one.version, two.version] == [2, 3]
    assert isinstance(refused, InvalidValue)
    assert await current_features(chain.repository, key) == {"f": 1101}


async def test_a_batch_of_several_keys_reads_those_that_the_one_ahead_does_not_have(
    chain: Chain, key: EntityKey
) -> None:
    other = key._replace(entity_id="other")
    await chain.repository.update(update(put("f", 1), key=other))
    both = UpdateBatch(updates=(update(add("f", 10), key=key), update(add("f", 20), key=other)))
    await chain.run(update(put("f", 5), key=key), both)
    assert await current_features(chain.repository, key) == {"f": 15}
    assert await current_features(chain.repository, other) == {"f": 21}
    assert chain.repository.statistics.undecided == 0


async def test_what_it_leaves_as_it_was_stood_together_with_what_the_one_ahead_wrote(
    chain: Chain, key: EntityKey, session: Session
) -> None:
    """One aggregate comes from the one ahead and one was read by itself, before that committed."""
    other = key._replace(entity_id="other")
    await chain.repository.update(update(put("f", 1), key=key))
    await chain.repository.update(update(put("f", 1), key=other))
    nothing = UpdateBatch(updates=tuple(update(remove("g"), key=each) for each in (key, other)))

    writes = chain.pool.writes
    await chain.repository.update_batch(nothing)
    assert chain.pool.writes == writes
    _, together = await chain.run(update(put("f", 5), key=key), nothing)
    assert together.outcomes[0].version == 2
    assert chain.pool.writes == writes + 2
    assert chain.repository.statistics.undecided == 0
    _, together = await chain.run(
        update(put("f", 6), key=key), nothing, meanwhile=lambda: touch(session, other)
    )
    assert together.outcomes[0].version == 3
    assert chain.repository.statistics.undecided == 1


async def test_nothing_follows_a_batch_of_which_a_part_must_wait(
    chain: Chain, key: EntityKey
) -> None:
    """An aggregate is not deleted by the batch that makes it."""
    pipeline = chain.repository._pipeline
    go_on = asyncio.Event()
    chain.pool.before.append(go_on.wait)
    answers: list[asyncio.Future[Any]] = [
        chain.repository.submit(command)
        for command in (update(add("f", 1), key=key), Deletion(key=key))
    ]
    while pipeline.waiting:  # noqa: ASYNC110 - the others must come before it has read
        await asyncio.sleep(0)
    answers.append(chain.repository.submit(update(add("f", 10), key=key)))
    await eventually(lambda: not chain.pool.before)
    await asyncio.sleep(0.05)
    go_on.set()
    made, deleted, again = await asyncio.gather(*answers)
    assert [made.version, deleted.version, again.version] == [1, 2, 1]
    assert await current_features(chain.repository, key) == {"f": 10}


@pytest.mark.parametrize(
    "nothing",
    [
        lambda keys: update(remove("g"), key=keys[0]),
        lambda keys: update(put("f", 2), key=keys[0], validate_only=True),
        lambda keys: UpdateBatch(updates=tuple(update(remove("g"), key=each) for each in keys)),
    ],
    ids=["changes nothing", "rehearsed", "of two"],
)
async def test_nothing_is_said_of_what_the_one_ahead_made_when_it_is_gone_again(
    chain: Chain, key: EntityKey, nothing: Callable[[Sequence[EntityKey]], Command]
) -> None:
    """No row is found then, just as before it was made."""
    keys = key, key._replace(entity_id="other")
    protocol, ahead = chain.repository._protocol, ChainLink()
    made = UpdateBatch(updates=tuple(update(put("f", 1), key=each) for each in keys))
    assert await protocol.attempt([waiting(made)], None, ahead) == []
    for each in keys:
        await chain.repository.delete(Deletion(key=each))
    behind = waiting(nothing(keys))
    assert await protocol.attempt([behind], ahead, ChainLink()) == [behind]
    assert not behind.answer.done()


async def test_it_is_judged_by_the_type_of_now_when_that_changed_meanwhile(
    chain: Chain, key: EntityKey
) -> None:
    await chain.repository.update(update(put("f", 1), key=key))
    at_most_ten = FeatureSpec(
        kind=ValueKind.INT64, maximum=FeatureValue(ValueKind.INT64, 10), required=True
    )

    async def change() -> None:
        definition = EntityType(name=key.entity_type, features={"f": at_most_ten})
        types = EntityTypes(chain.repository.entity_types, chain.repository.compiler, Limits())
        await types.apply(definition, None, validate_only=False, accept_existing=False)

    one, two = await chain.run(
        update(add("f", 1), key=key), update(add("f", 100), key=key), meanwhile=change
    )
    assert one.version == 2
    assert isinstance(two, RuleViolated)


async def test_a_refusal_rests_on_the_one_ahead_and_is_told_after_it(
    chain: Chain, key: EntityKey
) -> None:
    first = await chain.repository.update(update(put("f", 1), key=key))
    one, stale, rehearsed = await chain.run(
        update(add("f", 1), key=key),
        update(add("f", 1), key=key, etag=first.etag),
        update(add("f", 1), key=key, validate_only=True),
    )
    assert one.version == 2
    assert isinstance(stale, StaleEtag)
    assert rehearsed.version == 3
    assert await current_features(chain.repository, key) == {"f": 2}


async def test_a_chain_ends_where_another_server_has_its_turn(
    chain: Chain, key: EntityKey, session: Session
) -> None:
    """Batches right behind one another would leave it no moment to be faster."""

    async def end() -> None:
        contention = chain.repository._protocol._contention
        await eventually(lambda: bool(contention.contended([key])))
        await session.execute("SELECT pg_advisory_unlock_all()")

    await chain.repository.update(update(put("f", 1), key=key))
    await session.execute("SELECT pg_advisory_lock($1)", _lock_id(key))
    one, two = await chain.run(
        update(add("f", 10), key=key), update(add("f", 100), key=key), meanwhile=end
    )
    assert [one.version, two.version] == [2, 3]
    assert chain.repository.statistics.chained == 0
    writes = chain.pool.writes
    await asyncio.gather(*(chain.repository.update(update(add("f", 1), key=key)) for _ in "12345"))
    assert chain.pool.writes > writes
    assert chain.repository.statistics.chained == 0
    assert await current_features(chain.repository, key) == {"f": 116}


async def test_an_erasure_waits_for_a_deletion_and_finds_what_that_leaves(
    chain: Chain, session: Session, key: EntityKey
) -> None:
    await chain.repository.update(update(put("f", 1), key=key))
    go_on = asyncio.Event()
    chain.pool.before.append(go_on.wait)
    deleting = chain.repository.submit(Deletion(key=key))
    await eventually(lambda: not chain.pool.before)
    erasing = chain.repository.submit(Deletion(key=key, erase_history=True))
    await asyncio.sleep(0.05)
    assert len(chain.repository._pipeline._under_way) == 1
    go_on.set()
    deleted, erased = await asyncio.gather(deleting, erasing)
    assert isinstance(deleted, DeletionOutcome)
    assert isinstance(erased, DeletionOutcome)
    assert (deleted.version, erased.version) == (2, 2)
    rows = "SELECT commit_time FROM changes WHERE entity_type = $1"
    (left,) = await session.fetch(rows, key.entity_type)
    assert from_datetime(left[0]) == erased.delete_time


async def test_a_request_right_behind_an_erasure_is_not_known_by_what_that_erases(
    chain: Chain, key: EntityKey
) -> None:
    asked = update(add("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")
    await chain.repository.update(asked)
    chain.pool.before.append(lambda: asyncio.sleep(0.1))
    erased, again = await asyncio.gather(
        chain.repository.submit(Deletion(key=key, erase_history=True)),
        chain.repository.submit(asked),
    )
    assert isinstance(erased, DeletionOutcome)
    assert isinstance(again, UpdateOutcome)
    assert (erased.version, again.version, again.replayed) == (2, 1, False)
