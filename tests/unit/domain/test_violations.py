"""Whatever is wrong is said at once, and nothing is changed."""

import math
from copy import copy
from typing import Any

import pytest

from domain.aggregate import FeatureAggregate
from domain.errors import FieldViolation, InvalidValue
from domain.operations import SetValue
from domain.timestamp import LATEST
from domain.update import FeatureUpdate, Update
from domain.values import INT64_MAX, FeatureValue, ValueKind
from tests.kit.samples import (
    NOW,
    add,
    aggregate,
    append,
    at_least,
    put,
    remove,
    update,
    value,
    written,
)


def everything(subject: FeatureAggregate) -> dict[str, Any]:
    """All that an aggregate is."""
    return {name: copy(getattr(subject, name)) for name in FeatureAggregate.__slots__}


def violations(subject: FeatureAggregate, asked: Update) -> list[FieldViolation]:
    """What an aggregate says of an update that it refuses, and that it is then as it was."""
    before = everything(subject)
    with pytest.raises(InvalidValue) as refused:
        subject.apply(asked, NOW + 5_000)
    assert everything(subject) == before
    return list(refused.value.violations)


def fields(subject: FeatureAggregate, asked: Update) -> list[str]:
    return [violation.field for violation in violations(subject, asked)]


@pytest.mark.parametrize("place", [0, 25, 50])
def test_one_bad_value_among_fifty_good_ones_changes_nothing(place: int) -> None:
    items = [put(f"f{number}", number) for number in range(50)]
    items.insert(place, put("bad", math.nan))
    assert violations(written(put("f1", 0)), update(*items)) == [
        FieldViolation(
            f"updates[{place}].set",
            "bad must be finite, is nan; see allow_non_finite",
        )
    ]


def test_violations_of_every_sort_are_named_together() -> None:
    subject = written(put("text", "x"), put("number", INT64_MAX))
    asked = update(
        put("good", 1),
        put("nan", math.nan),
        put("text", 1),
        add("number", 1),
        add("other", "x"),
        put("no name", 1),
        put("", 1),
        put("twice", 1),
        remove("twice"),
        put("when", 1, LATEST + 1),
        append("list", value(1.5, ValueKind.TIMESTAMP)),
        append("list2", 1, max_length=-1),
        at_least("blob", b""),
        event_time=LATEST + 1,
    )
    assert fields(subject, asked) == [
        "event_time",
        "updates[1].set",
        "updates[5].name",
        "updates[6].name",
        "updates[8].name",
        "updates[9].event_time",
        "updates[11].append.max_length",
        "updates[2].set",
        "updates[3].increment",
        "updates[4].increment",
        "updates[10].append",
        "updates[12].maximum",
    ]


def test_each_violation_names_its_feature_and_what_it_is() -> None:
    long = "x" * 5_000
    asked = update(
        put("vector", value((0.0, math.inf), ValueKind.FLOAT_VECTOR)),
        put("vector2", value((1e300,), ValueKind.FLOAT_VECTOR)),
        put("number", 1.5),
        put(long, 1),
    )
    said = [description for _, description in violations(written(put("number", 1)), asked)]
    assert said[0].startswith("vector element 1 must be finite, is inf; see allow_non_finite")
    assert said[1] == "vector2 element 0 must fit into 32 bits, is 1e+300"
    assert said[2].startswith("must match ")
    assert said[2].endswith("x…")
    assert len(said[2]) < 200
    assert said[3] == "number is double_value, but the feature is int64_value"


def test_an_update_without_updates_is_refused() -> None:
    assert fields(aggregate(), update()) == ["updates"]


@pytest.mark.parametrize("good", ["a", "_", "Z9_.:-", "a" * 128])
def test_a_proper_feature_name_is_taken(good: str) -> None:
    assert written(put(good, 1)).version == 1


@pytest.mark.parametrize(
    "bad", ["", "1a", "-a", ".a", "a b", "ä", "a\n", "a,b", "a/b", "a" * 129], ids=ascii
)
def test_an_improper_feature_name_is_refused(bad: str) -> None:
    assert fields(aggregate(), update(put(bad, 1))) == ["updates[0].name"]


def test_a_feature_named_three_times_is_named_at_each_repetition() -> None:
    asked = update(put("f", 1), put("f", 2), put("g", 1), put("f", 3))
    assert fields(aggregate(), asked) == ["updates[1].name", "updates[3].name"]


def test_what_the_edge_could_not_read_is_named_with_the_rest() -> None:
    malformed = (FieldViolation("updates[0].operation", "must be set"),)
    asked = update(FeatureUpdate("f", None), put("g", math.inf), malformed=malformed)
    assert fields(aggregate(), asked) == ["updates[0].operation", "updates[1].set"]


def test_a_field_is_blamed_once() -> None:
    impossible = FeatureValue(ValueKind.DOUBLE, math.nan)
    asked = update(FeatureUpdate("f", SetValue(impossible)))
    assert fields(written(put("f", 1)), asked) == ["updates[0].set"]


def test_an_invalid_request_is_told_so_whatever_its_etag() -> None:
    stale = written(put("f", 1)).etag._replace(version=9)
    subject = written(put("f", 1))
    assert fields(subject, update(put("f", math.nan), etag=stale)) == ["updates[0].set"]
