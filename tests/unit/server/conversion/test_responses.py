"""Answers that are spliced from stored bytes, beside the same built field by field."""

from collections.abc import Sequence
from typing import Final

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from msgspec.structs import replace

from codec.state import dump_aggregate, new_aggregate
from codec.wire import varint
from domain.entity_key import EntityKey
from domain.etag import Etag
from domain.outcome import DeletionOutcome, UpdateOutcome
from domain.ports import (
    AtCommitTime,
    AtEventTime,
    AtVersion,
    ListedAggregate,
    PointInTime,
    Snapshot,
    StoredAggregate,
)
from featom.v1 import aggregate_pb2
from featom.v1 import feature_store_pb2 as pb
from server.conversion import responses
from tests.kit.samples import KEY, NOW, REQUEST_ID, UID, entity, put, update

# A length takes one byte more from 128 and from 16,384 on, and the frames around a state add some
# dozen bytes: so each of the nested lengths crosses each of these borders somewhere in here.
PADDINGS: Final = (0, 1, *range(50, 140), *range(16_300, 16_400), 100_000, 2_100_000)


def padded(padding: int, version: int = 7) -> StoredAggregate:
    """An aggregate whose state takes a little more than `padding` bytes, or none."""
    state = aggregate_pb2.FeatureAggregate(uid="x" * padding)
    return StoredAggregate(UID, 3, version, state.SerializeToString())


STORED: Final = [padded(padding) for padding in PADDINGS]


def of_features(*names: str) -> StoredAggregate:
    subject = new_aggregate(KEY, UID, 3)
    subject.apply(update(*(put(name, name * 10) for name in names)), NOW)
    return StoredAggregate(UID, 3, subject.version, dump_aggregate(subject))


def message(time: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(time)
    return made


def served(found: StoredAggregate) -> aggregate_pb2.FeatureAggregate:
    message = aggregate_pb2.FeatureAggregate.FromString(found.state)
    message.etag = str(found.etag)
    return message


def test_the_states_lie_on_both_sides_of_every_border() -> None:
    sizes = {len(found.state) for found in STORED}
    assert {0, 3, 127, 128, 131, 16_383, 16_384} <= sizes
    assert max(sizes) > 2**21


def test_an_aggregate_is_served_with_its_etag_and_its_read_time() -> None:
    for found in STORED:
        answer = pb.GetAggregateResponse.FromString(responses.get_response(found, (), NOW + 1))
        assert answer == pb.GetAggregateResponse(
            aggregate=served(found), read_time=message(NOW + 1)
        )


def test_the_past_is_served_without_an_etag_as_of_its_moment() -> None:
    for found in STORED:
        answer = pb.GetAggregateResponse.FromString(
            responses.past_response(found, (), AtVersion(7, read_time=NOW))
        )
        assert not answer.aggregate.etag
        assert answer.HasField("aggregate")
        assert answer.aggregate.SerializeToString() == found.state
        assert answer.read_time == message(NOW)


def test_the_past_names_what_it_cannot_tell_exactly_of_what_is_asked_for() -> None:
    found = of_features("f", "g")._replace(inexact_features=["f", "h"])
    for names, inexact in (((), ["f", "h"]), (("g", "h"), ["h"]), (("g",), [])):
        encoded = responses.past_response(found, names, AtEventTime(9))
        assert pb.GetAggregateResponse.FromString(encoded).inexact_features == inexact


@pytest.mark.parametrize(
    ("point", "read_time"),
    [
        (AtVersion(1), NOW),
        (AtVersion(1, read_time=5), 5),
        (AtCommitTime(NOW + 7), NOW + 7),
        (AtEventTime(9), 9),
    ],
    ids=str,
)
def test_the_past_says_as_of_when_it_is_served(point: PointInTime, read_time: int) -> None:
    answer = pb.GetAggregateResponse.FromString(
        responses.past_response(of_features("f"), (), point)
    )
    assert answer.read_time == message(read_time)


def test_each_of_a_batch_is_served_in_its_place_and_what_is_missing_is_named() -> None:
    keys: list[EntityKey] = []
    found: list[StoredAggregate | None] = []
    expected = pb.BatchGetAggregatesResponse(read_time=message(NOW))
    for number, stored in enumerate(STORED):
        keys += [entity(number), entity("ä" * (number % 130))]
        found += [stored, None]
        expected.results.add().aggregate.CopyFrom(served(stored))
        missing = expected.results.add().missing_key
        missing.entity_type, missing.entity_id = keys[-1]
    encoded = responses.batch_get_response(keys, Snapshot(found, NOW), ())
    assert pb.BatchGetAggregatesResponse.FromString(encoded) == expected


async def test_a_large_batch_is_served_as_a_small_one() -> None:
    keys = [entity(number) for number in range(11)]
    stored = (None if number == 5 else STORED[number % len(STORED)] for number in range(11))
    found = Snapshot(stored, NOW)
    for names in ((), ("a",)):
        served_at_once = responses.batch_get_response(keys, found, names)
        assert await responses.large_batch_get_response(keys, found, names) == served_at_once


@pytest.mark.parametrize("token", ["", "t", "t" * 127, "t" * 128, "t" * 400])
def test_a_page_is_served_in_order_and_with_its_token(token: str) -> None:
    listed = [ListedAggregate(f"c-{number}", found) for number, found in enumerate(STORED)]
    expected = pb.ListAggregatesResponse(
        aggregates=[served(found) for found in STORED], next_page_token=token
    )
    encoded = responses.list_response(listed, token)
    assert pb.ListAggregatesResponse.FromString(encoded) == expected


def test_an_empty_page_is_an_empty_message() -> None:
    assert responses.list_response([], "") == b""


def test_an_update_is_answered_with_what_came_of_it() -> None:
    outcome = UpdateOutcome(UID, 3, 7, NOW + 1_000, ("late", "later"), replayed=True)
    answer = pb.UpdateFeaturesResponse.FromString(responses.update_response(outcome))
    assert answer.update_time.ToNanoseconds() == NOW + 1_000
    answer.ClearField("update_time")
    assert answer == pb.UpdateFeaturesResponse(
        version=7,
        etag=str(Etag(UID, 3, 7)),
        stale_features=["late", "later"],
        replayed=True,
    )


def test_an_update_that_leaves_nothing_behind_has_no_etag_and_no_time() -> None:
    answer = pb.UpdateFeaturesResponse.FromString(
        responses.update_response(UpdateOutcome(UID, 3, 0, 0, ()))
    )
    assert answer == pb.UpdateFeaturesResponse()


def test_what_was_only_rehearsed_has_no_etag() -> None:
    stored = of_features("f")
    outcome = UpdateOutcome(UID, 3, 1, NOW, ("late",), rehearsed=True, state=stored.state)
    answer = pb.UpdateFeaturesResponse.FromString(responses.update_response(outcome))
    assert (answer.version, answer.update_time.ToNanoseconds()) == (1, NOW)
    assert answer.stale_features == ["late"]
    assert answer.aggregate.SerializeToString(deterministic=True) == stored.state
    assert not answer.etag


def test_an_update_is_answered_with_the_aggregate_it_left() -> None:
    for found in STORED:
        outcome = UpdateOutcome(
            UID, 3, found.version, NOW, (), state=found.state, state_etag=found.etag
        )
        answer = pb.UpdateFeaturesResponse.FromString(responses.update_response(outcome))
        assert answer.version == found.version
        assert answer.HasField("aggregate")
        assert answer.aggregate == served(found)


@pytest.mark.parametrize("first_version", [0, 1])
def test_in_a_replay_the_aggregate_is_the_current_one_with_the_current_etag(
    first_version: int,
) -> None:
    current = of_features("a", "b")
    first = UpdateOutcome(REQUEST_ID, 2, first_version, NOW, (), replayed=True)
    outcome = replace(first, state=current.state, state_etag=current.etag)
    answer = pb.UpdateFeaturesResponse.FromString(responses.update_response(outcome))
    assert (answer.version, answer.replayed) == (first_version, True)
    assert answer.etag == (str(Etag(REQUEST_ID, 2, 1)) if first_version else "")
    assert answer.aggregate == served(current)


@pytest.mark.parametrize("sequence", [0, 1, 127, 128, 2**63 - 1, -1, -(2**63)])
def test_each_update_of_a_stream_is_answered_under_its_sequence(sequence: int) -> None:
    outcome = UpdateOutcome(UID, 3, 2**40, NOW, ("late",))
    done = pb.StreamUpdateFeaturesResponse.FromString(responses.stream_response(sequence, outcome))
    status = Status(code=9, message="refused")
    failed = pb.StreamUpdateFeaturesResponse.FromString(responses.stream_error(sequence, status))
    response = pb.UpdateFeaturesResponse.FromString(responses.update_response(outcome))
    assert response.version == 2**40
    assert done == pb.StreamUpdateFeaturesResponse(sequence=sequence, response=response)
    assert failed.sequence == sequence
    assert (failed.error.code, failed.error.message) == (9, "refused")


def test_a_deletion_is_answered_with_its_version_and_time() -> None:
    outcome = DeletionOutcome(8, NOW, replayed=True)
    answer = pb.DeleteAggregateResponse.FromString(responses.delete_response(outcome))
    assert answer.delete_time.ToNanoseconds() == NOW
    assert (answer.version, answer.replayed) == (8, True)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [(("a",), {"a"}), (("b", "a"), {"a", "b"}), (("a", "none"), {"a"}), (("none",), set())],
)
def test_only_the_features_that_are_asked_for_are_served(
    wanted: Sequence[str], left: set[str]
) -> None:
    found = of_features("a", "b", "c")
    expected = served(found)
    for name in set(expected.features) - left:
        del expected.features[name]
    get = pb.GetAggregateResponse.FromString(responses.get_response(found, wanted, NOW))
    batch = pb.BatchGetAggregatesResponse.FromString(
        responses.batch_get_response([KEY], Snapshot([found], NOW), wanted)
    )
    assert get.aggregate == batch.results[0].aggregate == expected


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\x01"),
        (2_097_151, b"\xff\xff\x7f"),
        (2_097_152, b"\x80\x80\x80\x01"),
    ],
)
def test_a_length_is_written_as_protobuf_writes_it(number: int, encoded: bytes) -> None:
    assert varint(number) == encoded
