"""A version is a version of the vector: one for each update that changed it, and no other."""

import pytest

from domain.aggregate import FeatureAggregate
from domain.errors import AggregateNotFound, StaleEtag
from domain.timestamp import MICROSECOND
from domain.update import Deletion, FeatureUpdate
from tests.kit.samples import (
    KEY,
    NOW,
    REQUEST_ID,
    UID,
    add,
    aggregate,
    at_least,
    put,
    remove,
    update,
    written,
)


def test_versions_count_from_one_without_a_gap() -> None:
    subject = aggregate()
    for version in range(1, 6):
        change = subject.apply(update(add("f", 1)), NOW)
        assert change is not None
        assert change.version == subject.version == subject.features["f"].version == version


def test_an_update_of_many_features_is_one_version() -> None:
    subject = written(*(put(f"f{number}", number) for number in range(50)))
    assert subject.version == 1
    assert {feature.version for feature in subject.features.values()} == {1}


def test_a_feature_has_the_version_that_last_changed_it() -> None:
    subject = written(put("f", 1, 10), put("g", 1, 10))
    subject.apply(update(put("f", 2, 10), put("g", 1, 10)), NOW)
    assert {name: feature.version for name, feature in subject.features.items()} == {"f": 2, "g": 1}


@pytest.mark.parametrize(
    "same",
    [put("f", 7, 20), add("f", 0, 20), add("f", 0, 10), at_least("f", 7, 20), remove("none", 30)],
    ids=["set", "add", "late add", "maximum", "remove"],
)
def test_what_leaves_the_vector_as_it_was_makes_no_version_and_no_change(
    same: FeatureUpdate,
) -> None:
    subject = written(put("f", 7, 20))
    assert subject.apply(update(same), NOW + 1) is None
    assert (subject.version, subject.update_time) == (1, NOW)


def test_an_equal_value_of_a_newer_event_is_a_change() -> None:
    subject = written(put("f", 7, 20))
    subject.apply(update(put("f", 7, 21)), NOW)
    assert subject.version == subject.features["f"].version == 2


def test_nothing_comes_of_removing_from_what_is_not_there() -> None:
    subject = aggregate()
    assert subject.apply(update(remove("f")), NOW) is None
    assert not subject.exists


def test_an_aggregate_may_lose_its_last_feature_and_still_exist() -> None:
    subject = written(put("f", 1))
    subject.apply(update(remove("f")), NOW)
    assert (subject.version, subject.exists, dict(subject.features)) == (2, True, {})


def test_a_change_says_who_asked_for_what_and_what_came_of_it() -> None:
    subject = written(put("f", 1), put("g", 1))
    change = subject.apply(
        update(put("f", 2), remove("g"), request_id=REQUEST_ID, actor="me"), NOW + 5_000
    )
    assert change is not None
    assert (change.key, change.uid, change.version) == (KEY, UID, 2)
    assert (change.request_id, change.actor, change.deleted) == (REQUEST_ID, "me", False)
    assert dict(change.features) == {"f": subject.features["f"]}
    assert list(change.removed) == ["g"]
    assert change.commit_time == subject.update_time == NOW + 5_000


def test_the_commit_time_rises_with_the_version_whatever_the_clock_says() -> None:
    subject = aggregate()
    times = []
    for clock in (NOW, NOW, NOW - 10**9, NOW + 10**6):
        subject.apply(update(add("f", 1, 10)), clock)
        times.append(subject.update_time)
    assert times == [NOW, NOW + MICROSECOND, NOW + 2 * MICROSECOND, NOW + 10**6]
    assert subject.create_time == NOW


def test_a_change_of_late_values_takes_a_commit_time_of_its_own() -> None:
    subject = written(put("f", 1, 20))
    late = subject.apply(update(put("f", 2, 10)), NOW)
    after = subject.apply(update(put("f", 3, 30)), NOW)
    assert late is not None
    assert after is not None
    assert NOW < late.commit_time < after.commit_time


def test_the_last_change_may_be_later_than_the_last_version() -> None:
    subject = FeatureAggregate(
        KEY, UID, {}, version=3, update_time=NOW, last_commit=NOW + 5 * MICROSECOND
    )
    subject.apply(update(put("f", 1)), NOW)
    assert subject.update_time == NOW + 6 * MICROSECOND


def test_a_deletion_is_the_last_version_of_its_incarnation() -> None:
    subject = written(put("f", 1), put("g", 1))
    change = subject.delete(Deletion(key=KEY, request_id=REQUEST_ID, actor="me"), NOW)
    assert change.deleted
    assert change.advances
    assert (change.version, change.uid) == (2, UID)
    assert (change.request_id, change.actor) == (REQUEST_ID, "me")
    assert change.commit_time == NOW + MICROSECOND
    assert not change.features


def test_after_a_deletion_the_commit_time_keeps_rising() -> None:
    ended = written(put("f", 1)).delete(Deletion(key=KEY), NOW)
    reborn = FeatureAggregate(KEY, UID, {}, last_commit=ended.commit_time)
    reborn.apply(update(put("f", 2)), NOW)
    assert (reborn.version, reborn.features["f"].version) == (1, 1)
    assert reborn.create_time == reborn.update_time == ended.commit_time + MICROSECOND


def test_what_is_not_there_cannot_be_deleted() -> None:
    with pytest.raises(AggregateNotFound):
        aggregate().delete(Deletion(key=KEY), NOW)


def test_the_etag_is_current_until_the_next_version() -> None:
    subject = written(put("f", 1, 10))
    etag = subject.etag
    subject.apply(update(put("f", 1, 10), etag=etag), NOW)
    subject.apply(update(put("f", 2, 20), etag=etag), NOW)
    with pytest.raises(StaleEtag) as stale:
        subject.apply(update(put("f", 3, 30), etag=etag), NOW)
    assert stale.value.current_version == 2
    with pytest.raises(StaleEtag):
        subject.delete(Deletion(key=KEY, etag=etag), NOW)
    assert subject.features["f"].value is not None
    assert subject.features["f"].value.content == 2


@pytest.mark.parametrize("part", ["uid", "epoch", "version"])
def test_an_etag_that_differs_in_any_part_is_stale(part: str) -> None:
    subject = written(put("f", 1))
    others = {
        "uid": subject.etag._replace(uid=REQUEST_ID),
        "epoch": subject.etag._replace(epoch=2),
        "version": subject.etag._replace(version=2),
    }
    with pytest.raises(StaleEtag):
        subject.apply(update(put("f", 2), etag=others[part]), NOW)


def test_no_etag_is_current_where_nothing_is() -> None:
    subject = aggregate()
    with pytest.raises(StaleEtag):
        subject.apply(update(put("f", 1), etag=subject.etag), NOW)
    with pytest.raises(StaleEtag):
        subject.delete(Deletion(key=KEY, etag=subject.etag), NOW)


def test_a_copy_goes_its_own_way() -> None:
    subject = written(put("f", 1))
    copy = subject.copy()
    copy.apply(update(put("f", 2), put("g", 2)), NOW)
    assert (subject.version, set(subject.features)) == (1, {"f"})
    subject.apply(update(remove("f")), NOW)
    assert (copy.version, set(copy.features)) == (2, {"f", "g"})
