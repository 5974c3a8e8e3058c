"""What a batch is refused with when several of its updates are to blame."""

from itertools import permutations

import pytest

from domain.batch_errors import batch_error
from domain.entity_key import EntityKey
from domain.errors import (
    AggregateExists,
    FeatomError,
    FieldViolation,
    InvalidValue,
    LateValue,
    LimitExceeded,
    RuleViolated,
    RuleViolation,
    StaleEtag,
)


def invalid() -> InvalidValue:
    return InvalidValue([FieldViolation("updates[0].set", "is bad"), FieldViolation("etag", "x")])


def broken() -> RuleViolated:
    return RuleViolated([RuleViolation("RANGE", "a", "is 7"), RuleViolation("RULE", "r", "no")])


def refused(*errors: FeatomError) -> FeatomError:
    """Of a batch whose updates fail so, after one that does not."""
    keys = [EntityKey("card", f"c{place}") for place in range(len(errors) + 1)]
    return batch_error(dict(enumerate(errors, start=1)), keys)


def test_of_one_sort_every_violation_of_every_update_is_named() -> None:
    error = refused(invalid(), invalid())
    assert isinstance(error, InvalidValue)
    assert [field for field, _ in error.violations] == [
        "updates[1].updates[0].set",
        "updates[1].etag",
        "updates[2].updates[0].set",
        "updates[2].etag",
    ]


def test_every_late_value_of_every_update_is_named() -> None:
    error = refused(LateValue(["a", "b"]), LateValue(["a"]))
    assert isinstance(error, LateValue)
    assert error.features == ("updates[1].a", "updates[1].b", "updates[2].a")
    assert "updates[1].a, updates[1].b, updates[2].a" in str(error)


@pytest.mark.parametrize("late_first", [True, False])
def test_what_is_broken_and_what_is_late_are_named_together(late_first: bool) -> None:
    late = LateValue(["c"])
    error = refused(late, broken()) if late_first else refused(broken(), late)
    assert isinstance(error, RuleViolated)
    late_at, broken_at = (1, 2) if late_first else (2, 1)
    assert {(sort, subject) for sort, subject, _ in error.violations} == {
        ("LATE_VALUE", f"updates[{late_at}].c"),
        ("RANGE", f"updates[{broken_at}].a"),
        ("RULE", f"updates[{broken_at}].r"),
    }


@pytest.mark.parametrize("condition", [StaleEtag(3), AggregateExists(3)])
def test_the_sort_of_the_error_does_not_hang_on_the_order_of_the_updates(
    condition: FeatomError,
) -> None:
    errors = [invalid(), condition, broken(), LimitExceeded("features", 1, 2)]
    for first in range(len(errors)):
        for order in permutations(errors[first:]):
            assert type(refused(*order)) is type(errors[first])


def test_of_conditions_that_do_not_hold_the_first_is_told() -> None:
    assert type(refused(AggregateExists(1), StaleEtag(3))) is AggregateExists
    assert type(refused(StaleEtag(3), AggregateExists(1))) is StaleEtag


def test_an_error_that_stands_for_all_says_where_it_is() -> None:
    assert str(refused(broken(), StaleEtag(3))).startswith("updates[2], card/c2: ")
    assert str(refused(LimitExceeded("features", 1, 2))).startswith("updates[1], card/c1: ")


def test_each_violation_names_its_entity_and_its_feature() -> None:
    error = refused(invalid(), invalid())
    assert isinstance(error, InvalidValue)
    assert error.violations[2] == FieldViolation("updates[2].updates[0].set", "card/c2: is bad")
    error = refused(broken(), LateValue(["c"]))
    assert isinstance(error, RuleViolated)
    assert [description for _, _, description in error.violations] == [
        "card/c1: a: is 7",
        "card/c1: r: no",
        "card/c2: c: is late, and late values are refused",
    ]
