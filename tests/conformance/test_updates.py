"""What domain.ports.AggregateWriter promises of updates."""

import asyncio
import math
import time

import pytest
from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import FeatomError, InvalidValue, LimitExceeded, Overloaded, StaleEtag
from domain.outcome import UpdateOutcome
from domain.timestamp import SECOND
from domain.update import FeatureUpdate
from domain.values import ValueKind
from featom.v1.aggregate_pb2 import FeatureAggregate
from tests.conformance.conftest import Repository
from tests.kit.reading import current, current_features, message_of
from tests.kit.samples import TWO_OF_EACH, add, append, put, remove, sample, update


async def test_an_update_makes_an_aggregate(repository: Repository, key: EntityKey) -> None:
    outcome = await repository.update(update(put("f", 1, 5), put("g", "x"), key=key))
    assert (outcome.version, outcome.stale_features, outcome.replayed) == (1, (), False)
    stored = await current(repository, key)
    assert outcome.etag == stored.etag
    message = message_of(stored)
    assert (message.key.entity_type, message.key.entity_id) == key
    assert (message.uid, message.version) == (str(stored.uid), stored.version)
    assert message.create_time == message.update_time
    assert message.update_time.ToNanoseconds() == outcome.update_time
    assert message.features["f"].event_time.ToNanoseconds() == 5
    assert message.features["g"].event_time == message.update_time
    assert not message.etag


async def test_every_kind_of_value_is_stored_as_it_was_given(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(*(put(kind.value, sample(kind)) for kind in ValueKind), key=key))
    assert await current_features(repository, key) == {
        kind.value: TWO_OF_EACH[kind][0] for kind in ValueKind
    }


async def test_each_update_that_changes_something_is_one_version(
    repository: Repository, key: EntityKey
) -> None:
    outcomes = [await repository.update(update(add("f", 1, 10), key=key)) for _ in range(5)]
    assert [outcome.version for outcome in outcomes] == [1, 2, 3, 4, 5]
    times = [outcome.update_time for outcome in outcomes]
    assert times == sorted(set(times))
    assert len({outcome.uid for outcome in outcomes}) == 1


async def test_the_commit_time_is_about_now(repository: Repository, key: EntityKey) -> None:
    outcome = await repository.update(update(put("f", 1), key=key))
    assert abs(outcome.update_time - time.time_ns()) < 5 * SECOND


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((put("nan", math.nan),), InvalidValue),
        ((put("f1", "another kind"),), InvalidValue),
        ((put("f1", 1), add("f1", 1)), InvalidValue),
        ((put("no name", 1),), InvalidValue),
        (tuple(put(f"g{number}", 1) for number in range(991)), LimitExceeded),
        ((put("g", b"x" * 2**20),), LimitExceeded),
        (tuple(remove(f"g{number}") for number in range(1_001)), LimitExceeded),
    ],
    ids=["nan", "kind", "twice", "name", "features", "bytes", "updates"],
)
async def test_an_update_that_is_refused_changes_nothing(
    repository: Repository, key: EntityKey, bad: tuple[FeatureUpdate, ...], error: type[FeatomError]
) -> None:
    good = tuple(put(f"f{number}", number) for number in range(10))
    await repository.update(update(*good, key=key))
    before = await current(repository, key)
    others = tuple(put(f"f{number}", -1) for number in range(2, 10))
    with pytest.raises(error):
        await repository.update(update(*others, *bad, key=key))
    assert await current(repository, key) == before


async def test_a_refused_first_update_makes_no_aggregate(
    repository: Repository, key: EntityKey
) -> None:
    with pytest.raises(InvalidValue):
        await repository.update(update(put("f", 1), put("nan", math.nan), key=key))
    assert await repository.read([key]) == [None]


async def test_updates_of_one_key_are_applied_in_the_order_given(
    repository: Repository, key: EntityKey
) -> None:
    updates = [update(append("f", number, event_time=1), key=key) for number in range(300)]
    outcomes = await asyncio.gather(*map(repository.update, updates))
    assert [outcome.version for outcome in outcomes] == list(range(1, 301))
    assert await current_features(repository, key) == {"f": tuple(range(300))}


async def test_none_of_many_increments_is_lost(repository: Repository, key: EntityKey) -> None:
    await asyncio.gather(
        *(repository.update(update(add("f", number), key=key)) for number in range(200))
    )
    assert await current_features(repository, key) == {"f": sum(range(200))}


async def test_a_bad_update_does_not_harm_its_neighbours(
    repository: Repository, key: EntityKey
) -> None:
    updates = [
        update(add("f", 1 if number % 3 else "x"), key=key)  # every third one does not fit
        for number in range(60)
    ]
    answers = await asyncio.gather(*map(repository.update, updates), return_exceptions=True)
    assert [isinstance(answer, InvalidValue) for answer in answers] == [
        number % 3 == 0 for number in range(60)
    ]
    assert await current_features(repository, key) == {"f": 40}
    assert (await current(repository, key)).version == 40


async def test_of_two_writers_with_one_etag_exactly_one_is_told_it_is_stale(
    repository: Repository, key: EntityKey
) -> None:
    read = await repository.update(update(put("f", 0), key=key))
    answers = await asyncio.gather(
        *(
            repository.update(update(put("f", number), key=key, etag=read.etag))
            for number in (1, 2)
        ),
        return_exceptions=True,
    )
    (stale,) = [answer for answer in answers if isinstance(answer, BaseException)]
    assert isinstance(stale, StaleEtag)
    assert stale.current_version == 2
    (won,) = [answer for answer in answers if isinstance(answer, UpdateOutcome)]
    assert await current_features(repository, key) == {"f": 1 + answers.index(won)}


async def test_a_stale_etag_changes_nothing(repository: Repository, key: EntityKey) -> None:
    read = await repository.update(update(put("f", 0), key=key))
    await repository.update(update(put("f", 1), key=key))
    before = await current(repository, key)
    with pytest.raises(StaleEtag):
        await repository.update(update(put("f", 2), put("g", 2), key=key, etag=read.etag))
    assert await current(repository, key) == before


async def test_a_late_value_is_named_and_replaces_nothing(
    repository: Repository, key: EntityKey
) -> None:
    first = await repository.update(update(put("f", 1, 20), put("g", 1, 10), key=key))
    outcome = await repository.update(update(put("f", 2, 10), key=key))
    assert outcome == replace(first, stale_features=("f",))
    outcome = await repository.update(update(put("f", 2, 10), put("g", 2, 20), key=key))
    assert (outcome.version, outcome.stale_features) == (2, ("f",))
    assert await current_features(repository, key) == {"f": 1, "g": 2}


async def test_what_changes_nothing_is_answered_with_the_version_as_it_is(
    repository: Repository, key: EntityKey
) -> None:
    nothing = await repository.update(update(remove("f"), key=key))
    assert (nothing.version, nothing.etag) == (0, None)
    assert await repository.read([key]) == [None]
    first = await repository.update(update(put("f", 1, 10), key=key))
    assert await repository.update(update(put("f", 1, 10), key=key)) == first


@pytest.mark.parametrize("existing", [False, True])
async def test_validation_only_answers_as_if_written_and_writes_nothing(
    repository: Repository, key: EntityKey, existing: bool
) -> None:
    if existing:
        await repository.update(update(put("f", 1), key=key))
    before = await repository.read([key])
    rehearsal = update(put("f", 2), key=key, validate_only=True, return_aggregate=True)
    outcome = await repository.update(rehearsal)
    assert outcome.version == (2 if existing else 1)
    assert outcome.state is not None
    assert outcome.etag is None
    assert outcome.state_etag is None
    assert await repository.read([key]) == before
    with pytest.raises(InvalidValue):
        await repository.update(update(put("f", math.nan), key=key, validate_only=True))


async def test_a_rehearsal_of_what_changes_nothing_names_the_version_that_there_is(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1, 10), key=key))
    stored = await current(repository, key)
    for event_time in (1, 10):
        rehearsal = update(put("f", 1, event_time), key=key, validate_only=True)
        outcome = await repository.update(replace(rehearsal, return_aggregate=True))
        assert outcome.etag == outcome.state_etag == stored.etag


async def test_the_aggregate_comes_back_as_the_update_left_it(
    repository: Repository, key: EntityKey
) -> None:
    asked = update(put("f", 1), key=key, return_aggregate=True)
    outcome = await repository.update(asked)
    stored = await current(repository, key)
    assert (outcome.state, outcome.state_etag) == (stored.state, stored.etag)
    plain = await repository.update(update(put("f", 2), key=key))
    assert (plain.state, plain.state_etag) == (None, None)


async def test_each_of_many_updates_gets_the_aggregate_as_it_left_it(
    repository: Repository, key: EntityKey
) -> None:
    asked = update(add("f", 1), key=key, return_aggregate=True)
    outcomes = await asyncio.gather(*(repository.update(asked) for _ in range(50)))
    states = [FeatureAggregate.FromString(outcome.state or b"") for outcome in outcomes]
    assert [state.features["f"].value.int64_value for state in states] == list(range(1, 51))


async def test_no_update_begins_after_its_deadline(repository: Repository, key: EntityKey) -> None:
    now = asyncio.get_running_loop().time()
    with pytest.raises(Overloaded, match="time of this request was up"):
        await repository.update(update(put("f", 1), key=key), deadline=now - 1)
    assert await repository.read([key]) == [None]
    await repository.update(update(put("f", 1), key=key), deadline=now + 10)


async def test_an_update_whose_caller_goes_away_is_there_whole_or_not_at_all(
    repository: Repository, key: EntityKey
) -> None:
    many = [put(f"f{number}", 1) for number in range(20)]
    futures = [repository.submit(update(*many, key=key)) for _ in range(10)]
    for future in futures:
        future.cancel()
    await repository.update(update(put("last", 1), key=key))
    found = await current_features(repository, key)
    assert found is not None
    assert len(found) in (1, 21)
