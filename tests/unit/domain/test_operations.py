"""Every operation on every kind of value: what it takes, what it makes, and what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from domain import values
from domain.errors import InvalidValue
from domain.feature import Feature
from domain.operations import Append, Increment, Maximum, Minimum, Operation, Remove, SetValue
from domain.update import FeatureUpdate
from domain.values import INT64_MAX, INT64_MIN, FeatureValue, ValueKind, size_difference
from tests.kit.samples import NOW, add, aggregate, append, put, sample, update, value

K = ValueKind
LIST_OF = {
    K.BOOL: K.BOOL_LIST,
    K.INT64: K.INT64_LIST,
    K.DOUBLE: K.DOUBLE_LIST,
    K.STRING: K.STRING_LIST,
}
TAKES: dict[str, set[ValueKind]] = {
    "set": set(K),
    "increment": {K.INT64, K.DOUBLE},
    "maximum": {K.INT64, K.DOUBLE, K.TIMESTAMP},
    "minimum": {K.INT64, K.DOUBLE, K.TIMESTAMP},
    "append": {*LIST_OF, *LIST_OF.values()},
}
MADE_BY: dict[str, Callable[[FeatureValue], Operation]] = {
    "set": SetValue,
    "increment": Increment,
    "maximum": Maximum,
    "minimum": Minimum,
    "append": lambda value: Append(value, 0),
}

every_operation = pytest.mark.parametrize("name", MADE_BY)
every_kind = pytest.mark.parametrize("kind", K, ids=lambda kind: kind.value)


def result(operation: Operation, stored: FeatureValue | None = None) -> FeatureValue | None:
    """What an update with this operation makes of a feature."""
    subject = aggregate({} if stored is None else {"f": Feature(stored, NOW, 1)})
    subject.apply(update(FeatureUpdate("f", operation, NOW)), NOW)
    left = subject.features.get("f")
    return left.value if left else None


def refusal(operation: Operation, stored: FeatureValue | None = None) -> str:
    """How an update with this operation is refused."""
    with pytest.raises(InvalidValue) as refused:
        result(operation, stored)
    (violation,) = refused.value.violations
    assert violation.field == f"updates[0].{operation.field}"
    return violation.description


@every_operation
@every_kind
def test_an_operation_takes_the_kinds_it_is_for_and_refuses_the_others(
    name: str, kind: ValueKind
) -> None:
    operation = MADE_BY[name](sample(kind))
    if kind in TAKES[name]:
        made = result(operation)
        assert made is not None
        assert made.kind is (LIST_OF.get(kind, kind) if name == "append" else kind)
    else:
        assert refusal(operation).startswith("f takes ")
        assert refusal(operation).endswith(f", not {kind.value}")


@every_operation
@every_kind
def test_a_feature_keeps_the_kind_it_was_first_written_with(name: str, kind: ValueKind) -> None:
    if kind not in TAKES[name]:
        return
    operation = MADE_BY[name](sample(kind))
    written_as = LIST_OF.get(kind, kind) if name == "append" else kind
    for stored in K:
        if stored is written_as:
            assert result(operation, sample(stored)) is not None
        else:
            assert refusal(operation, sample(stored)) == (
                f"f is {written_as.value}, but the feature is {stored.value}"
            )


@every_kind
def test_remove_takes_every_kind_away(kind: ValueKind) -> None:
    assert result(Remove(), sample(kind)) is None


@every_kind
def test_a_removed_feature_may_come_back_as_another_kind(kind: ValueKind) -> None:
    subject = aggregate({"f": Feature(sample(kind), NOW, 1)})
    subject.apply(update(FeatureUpdate("f", Remove(), NOW)), NOW)
    for other in K:
        copy = subject.copy()
        copy.apply(update(FeatureUpdate("f", SetValue(sample(other)), NOW)), NOW)
        assert copy.features["f"].value == sample(other)


@pytest.mark.parametrize(
    ("operation", "stored", "made"),
    [
        (Increment(value(5)), value(-7), value(-2)),
        (Increment(value(5)), None, value(5)),
        (Increment(value(0.5)), value(0.25), value(0.75)),
        (Increment(value(-1)), value(INT64_MAX), value(INT64_MAX - 1)),
        (Maximum(value(5)), value(4), value(5)),
        (Maximum(value(3)), value(4), value(4)),
        (Maximum(value(-3)), None, value(-3)),
        (Maximum(value(1e300)), value(-1e300), value(1e300)),
        (Maximum(value(5, K.TIMESTAMP)), value(6, K.TIMESTAMP), value(6, K.TIMESTAMP)),
        (Minimum(value(5)), value(4), value(4)),
        (Minimum(value(3)), value(4), value(3)),
        (Minimum(value(3)), None, value(3)),
        (Minimum(value(5, K.TIMESTAMP)), value(6, K.TIMESTAMP), value(5, K.TIMESTAMP)),
    ],
)
def test_numbers_add_up_and_extremes_stay(
    operation: Operation, stored: FeatureValue | None, made: FeatureValue
) -> None:
    assert result(operation, stored) == made


@pytest.mark.parametrize(
    ("stored", "appended", "max_length", "left"),
    [
        (None, 1, 0, (1,)),
        ((1, 2), 3, 0, (1, 2, 3)),
        ((1, 2), 3, 2, (2, 3)),
        ((1, 2), 3, 1, (3,)),
        ((1, 2), 3, 9, (1, 2, 3)),
        ((1, 2), (), 1, (2,)),
        ((1, 2), (3, 4), 3, (2, 3, 4)),
        (None, (1, 2, 3), 2, (2, 3)),
        (None, (), 0, ()),
    ],
)
def test_append_keeps_the_newest_elements(
    stored: tuple[int, ...] | None, appended: Any, max_length: int, left: tuple[int, ...]
) -> None:
    kind = K.INT64 if isinstance(appended, int) else K.INT64_LIST
    operation = Append(FeatureValue(kind, appended), max_length)
    found = None if stored is None else FeatureValue(K.INT64_LIST, stored)
    assert result(operation, found) == FeatureValue(K.INT64_LIST, left)


@pytest.mark.parametrize(
    ("stored", "by"),
    [(INT64_MAX, 1), (INT64_MIN, -1), (1, INT64_MAX), (1.7e308, 1.7e308), (-1.7e308, -1.7e308)],
)
def test_an_increment_that_leaves_the_range_is_refused(stored: Any, by: Any) -> None:
    assert refusal(Increment(value(by)), value(stored)) == f"f overflows: {stored} + {by}"


def test_an_increment_may_reach_the_end_of_the_range() -> None:
    assert result(Increment(value(1)), value(INT64_MAX - 1)) == value(INT64_MAX)
    assert result(Increment(value(-1)), value(INT64_MIN + 1)) == value(INT64_MIN)


def test_a_negative_max_length_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"updates\[0\]\.append\.max_length"):
        aggregate().apply(update(append("f", 1, max_length=-1)), NOW)


def test_one_update_may_hold_every_operation() -> None:
    subject = aggregate()
    subject.apply(
        update(
            put("set", "x"),
            add("increment", 1),
            append("append", 1),
            FeatureUpdate("maximum", Maximum(value(1))),
            FeatureUpdate("minimum", Minimum(value(1))),
            FeatureUpdate("remove", Remove()),
        ),
        NOW,
    )
    assert set(subject.features) == {"set", "increment", "append", "maximum", "minimum"}
    assert subject.version == 1


def ints(*content: int) -> FeatureValue:
    return value(content, K.INT64_LIST)


@pytest.mark.parametrize("max_length", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("added", [value(300), ints(300), ints(300, -1), ints(*[300] * 5)])
@pytest.mark.parametrize(
    "replaced", [ints(7), ints(1, 2, 1_000), ints(300, 300, 1), value(5), value("x")]
)
@pytest.mark.parametrize("base", [ints(), ints(1, 2, 1_000), None])
def test_what_an_append_grows_by_is_the_difference_of_the_sizes(
    base: FeatureValue | None, replaced: FeatureValue, added: FeatureValue, max_length: int
) -> None:
    """Also where what it appends to is not what was stored."""
    operation = Append(added, max_length)
    for stored in (replaced, base or ints(9)):
        made = operation.result(base)
        assert operation.growth(made, stored) == size_difference(made, stored)


@pytest.mark.parametrize("max_length", [0, 1_000])
def test_an_append_does_not_measure_again_what_stays(
    max_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = aggregate()
    subject.apply(update(FeatureUpdate("f", SetValue(ints(*[1] * 1_000)))), NOW)
    measured: list[int] = []
    measure = values._varint_size

    def note(number: int) -> int:
        measured.append(number)
        return measure(number)

    monkeypatch.setattr(values, "_varint_size", note)
    subject.apply(update(append("f", 2, max_length)), NOW)
    assert measured == [2, 1][: 1 + bool(max_length)]
