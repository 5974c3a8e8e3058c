"""Requests that read, as what they ask for; and everything that is wrong with them."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from domain.entity_key import EntityKey
from domain.errors import InvalidValue, LimitExceeded, StaleEtag
from domain.etag import Etag
from domain.limits import Limits
from domain.ports import AtCommitTime, AtEventTime, AtVersion, StoredAggregate
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from server.conversion.reads import page_token, read_batch_get, read_get, read_list, require_epoch
from tests.kit.samples import KEY, UID

LIMITS = Limits()
GOOD = KeyMessage(entity_type="customer", entity_id="c-1")
ETAG = Etag(UID, 1, 7)
TOO_LATE = Timestamp(seconds=253_402_300_800)
TOO_EARLY = Timestamp(seconds=-62_135_596_801)


def get(**fields: Any) -> pb.GetAggregateRequest:
    return pb.GetAggregateRequest(**({"key": GOOD} | fields))


def batch(**fields: Any) -> pb.BatchGetAggregatesRequest:
    return pb.BatchGetAggregatesRequest(**({"keys": [GOOD]} | fields))


def listing(**fields: Any) -> pb.ListAggregatesRequest:
    return pb.ListAggregatesRequest(**({"entity_type": "customer"} | fields))


def read_batch(request: pb.BatchGetAggregatesRequest) -> object:
    return read_batch_get(request, LIMITS)


def read_page(request: pb.ListAggregatesRequest) -> object:
    return read_list(request, LIMITS)


def blamed(read: Callable[[Any], object], request: object) -> list[str]:
    """The fields that a request is refused for."""
    with pytest.raises(InvalidValue) as refused:
        read(request)
    return [violation.field for violation in refused.value.violations]


def test_a_plain_read_asks_for_everything_as_it_is_now() -> None:
    wanted = read_get(get())
    assert wanted.key == KEY
    assert (wanted.feature_names, wanted.at_least, wanted.point) == (frozenset(), None, None)


@pytest.mark.parametrize(
    ("fields", "point"),
    [
        ({"as_of_version": 3}, AtVersion(3)),
        ({"as_of_commit_time": Timestamp(seconds=1, nanos=2)}, AtCommitTime(1_000_000_002)),
        ({"as_of_event_time": Timestamp(seconds=-1)}, AtEventTime(-1_000_000_000)),
        ({"as_of_commit_time": Timestamp()}, AtCommitTime(0)),
    ],
)
def test_a_read_of_the_past_says_when(fields: dict[str, Any], point: object) -> None:
    wanted = read_get(get(**fields))
    assert wanted.point == point
    assert type(wanted.point) is type(point)


@pytest.mark.parametrize(
    "consistency",
    [
        None,
        pb.Consistency(),
        pb.Consistency(strong=True),
        pb.Consistency(eventual=True),
        pb.Consistency(at_least_etag=str(ETAG)),
    ],
)
def test_every_consistency_is_understood(consistency: pb.Consistency | None) -> None:
    known = ETAG if consistency is not None and consistency.at_least_etag else None
    assert read_get(get(consistency=consistency)).at_least == known
    assert read_batch_get(batch(consistency=consistency), LIMITS).at_least == known


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"key": None}, "key.entity_type"),
        ({"key": KeyMessage(entity_type="customer")}, "key.entity_id"),
        ({"feature_names": ["ok", "not ok"]}, "feature_names[1]"),
        ({"consistency": pb.Consistency(strong=False)}, "consistency.strong"),
        ({"consistency": pb.Consistency(eventual=False)}, "consistency.eventual"),
        ({"consistency": pb.Consistency(at_least_etag="")}, "consistency.at_least_etag"),
        ({"consistency": pb.Consistency(at_least_etag="junk")}, "consistency.at_least_etag"),
        ({"as_of_version": 0}, "as_of_version"),
        ({"as_of_version": -1}, "as_of_version"),
        ({"as_of_commit_time": Timestamp(nanos=-1)}, "as_of_commit_time.nanos"),
        ({"as_of_commit_time": TOO_LATE}, "as_of_commit_time"),
        ({"as_of_commit_time": TOO_EARLY}, "as_of_commit_time"),
        ({"as_of_event_time": Timestamp(nanos=10**9)}, "as_of_event_time.nanos"),
        ({"as_of_event_time": TOO_LATE}, "as_of_event_time"),
        ({"as_of_event_time": Timestamp(seconds=2**63 - 1)}, "as_of_event_time"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_read_is_named(fields: dict[str, Any], field: str) -> None:
    assert field in blamed(read_get, get(**fields))


def test_everything_wrong_with_a_read_is_named_at_once() -> None:
    request = pb.GetAggregateRequest(
        feature_names=["", "a b"], consistency=pb.Consistency(strong=False), as_of_version=-1
    )
    assert blamed(read_get, request) == [
        "key.entity_type",
        "key.entity_id",
        "feature_names[0]",
        "feature_names[1]",
        "consistency.strong",
        "as_of_version",
    ]


def test_a_feature_that_is_named_again_is_named_once_as_such() -> None:
    names = ["a", "b", "a", "c", "b", "a"]
    twice = ["feature_names[0]", "feature_names[1]"]
    assert blamed(read_get, get(feature_names=names)) == twice
    assert blamed(read_batch, batch(feature_names=names)) == twice
    with pytest.raises(InvalidValue, match="a is named more than once") as refused:
        read_get(get(feature_names=["a"] * 1_000))
    assert len(refused.value.violations) == 1


def test_a_batch_read_keeps_the_order_and_the_repetitions() -> None:
    keys = [KeyMessage(entity_type="customer", entity_id=each) for each in "bab"]
    assert read_batch_get(batch(keys=keys), LIMITS).keys == [
        EntityKey("customer", each) for each in "bab"
    ]


def test_as_many_keys_as_allowed_are_read_and_one_more_is_refused() -> None:
    assert len(read_batch_get(batch(keys=[GOOD] * 1_000), LIMITS).keys) == 1_000
    with pytest.raises(LimitExceeded) as refused:
        read_batch_get(batch(keys=[GOOD] * 1_001), LIMITS)
    assert (refused.value.subject, refused.value.limit) == ("keys in a request", 1_000)


def test_everything_wrong_with_a_batch_read_is_named_at_once() -> None:
    keys = [GOOD, KeyMessage(entity_type="A", entity_id="x"), KeyMessage(entity_type="A"), GOOD]
    assert blamed(read_batch, batch(keys=keys, feature_names=[""])) == [
        "keys[1].entity_type",
        "keys[2].entity_type",
        "keys[2].entity_id",
        "feature_names[0]",
    ]
    assert blamed(read_batch, batch(keys=[])) == ["keys"]


@pytest.mark.parametrize(
    ("asked", "limit"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_page_has_a_size_whatever_is_asked_for(asked: int, limit: int) -> None:
    assert read_list(listing(page_size=asked), LIMITS) == ("customer", "", limit)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
def test_a_page_token_continues_where_the_page_ended(last_id: str) -> None:
    token = page_token("customer", last_id)
    assert read_list(listing(page_token=token), LIMITS).after == last_id


@pytest.mark.parametrize(
    "junk",
    [
        "x",
        "====",
        "é",
        "a b",
        page_token("customer", ""),
        page_token("customer", "a\0"),
        page_token("customer", "x" * 257),
        "/" * 8,
        str(ETAG),
    ],
)
def test_a_token_that_is_junk_is_refused(junk: str) -> None:
    with pytest.raises(InvalidValue, match="page_token: is not a page token of this store"):
        read_list(listing(page_token=junk), LIMITS)


def test_a_token_of_another_list_is_refused() -> None:
    token = page_token("card", "c-1")
    with pytest.raises(InvalidValue, match="page_token: continues a list of card"):
        read_list(listing(page_token=token), LIMITS)


def test_everything_wrong_with_a_list_is_named_at_once() -> None:
    request = pb.ListAggregatesRequest(page_size=-1, page_token="x")
    assert blamed(read_page, request) == ["entity_type", "page_size", "page_token"]


def test_a_version_of_another_epoch_is_no_lower_bound() -> None:
    found = StoredAggregate(UID, 2, 9, b"")
    with pytest.raises(StaleEtag):
        require_epoch(ETAG, found)
    require_epoch(ETAG._replace(epoch=2), found)
    require_epoch(None, found)
    require_epoch(ETAG, None)
