"""Limits refuse what grows, never what shrinks."""

import pytest

from domain.aggregate import FeatureAggregate
from domain.errors import LimitExceeded
from domain.limits import Limits
from tests.kit.samples import NOW, aggregate, put, remove, update

SMALL = Limits(features=3, state_bytes=1_000, updates=5)


def full_of_features() -> FeatureAggregate:
    subject = aggregate(limits=SMALL)
    subject.apply(update(*(put(name, 1) for name in "abc")), NOW)
    return subject


def full_of_bytes() -> FeatureAggregate:
    subject = aggregate(limits=SMALL)
    subject.apply(update(put("a", "x" * 400), put("b", "x" * 400)), NOW)
    return subject


def test_the_limits_are_those_of_the_contract() -> None:
    assert Limits() == Limits(
        features=1_000,
        state_bytes=1_048_576,
        updates=1_000,
        batch_keys=1_000,
        batch_bytes=33_554_432,
        answer_bytes=67_108_864,
        past_changes=1_000_000,
        past_bytes=1_073_741_824,
        past_incarnations=10_000,
    )


def test_as_many_features_as_allowed_fit_and_one_more_is_refused() -> None:
    subject = full_of_features()
    with pytest.raises(LimitExceeded) as refused:
        subject.apply(update(put("d", 1)), NOW)
    assert (refused.value.subject, refused.value.limit) == ("features in an aggregate", 3)
    assert str(refused.value) == "At most 3 features in an aggregate are allowed, this would be 4."
    assert set(subject.features) == set("abc")


def test_a_full_aggregate_still_takes_new_values_and_an_exchange() -> None:
    subject = full_of_features()
    subject.apply(update(put("a", 2)), NOW)
    subject.apply(update(remove("a"), put("d", 1)), NOW)
    assert set(subject.features) == set("bcd")


def test_an_aggregate_over_a_limit_that_was_lowered_may_shrink() -> None:
    subject = full_of_features()
    subject._limits = Limits(features=1, state_bytes=1)
    subject.apply(update(remove("a")), NOW)
    assert set(subject.features) == set("bc")


def test_an_aggregate_takes_no_more_bytes_than_allowed() -> None:
    subject = full_of_bytes()
    with pytest.raises(LimitExceeded) as refused:
        subject.apply(update(put("c", "x" * 200)), NOW)
    assert (refused.value.subject, refused.value.limit) == ("bytes in an aggregate", 1_000)
    assert set(subject.features) == set("ab")


def test_bytes_that_are_let_go_make_room() -> None:
    subject = full_of_bytes()
    subject.apply(update(put("a", "x" * 100)), NOW)
    subject.apply(update(put("c", "x" * 200)), NOW)
    subject.apply(update(remove("b"), put("d", "x" * 300)), NOW)
    assert set(subject.features) == set("acd")


def test_one_value_larger_than_everything_allowed_is_refused() -> None:
    subject = aggregate(limits=SMALL)
    with pytest.raises(LimitExceeded):
        subject.apply(update(put("a", b"x" * 1_000)), NOW)
    assert not subject.exists


def test_as_many_updates_as_allowed_are_taken_and_one_more_is_refused() -> None:
    subject = aggregate(limits=SMALL)
    items = [put("a", 1), *(remove(f"none{number}") for number in range(4))]
    subject.apply(update(*items), NOW)
    with pytest.raises(LimitExceeded) as refused:
        subject.apply(update(*items, remove("none4")), NOW)
    assert (refused.value.subject, refused.value.limit) == ("feature updates in a request", 5)
    assert subject.version == 1
