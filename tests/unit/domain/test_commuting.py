"""Operations that commute give the same features in whatever order they arrive."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import FeatureAggregate
from domain.operations import Increment, Maximum, Minimum, Operation
from domain.update import FeatureUpdate
from domain.values import FeatureValue, ValueKind
from tests.kit.samples import NOW, aggregate, update
from tests.kit.strategies import ANY_INSTANT, values_of

SMALL = st.integers(-(2**40), 2**40).map(lambda number: FeatureValue(ValueKind.INT64, number))
EXTREMES = {
    "largest_int64": (Maximum, ValueKind.INT64),
    "largest_double": (Maximum, ValueKind.DOUBLE),
    "latest": (Maximum, ValueKind.TIMESTAMP),
    "smallest_int64": (Minimum, ValueKind.INT64),
    "smallest_double": (Minimum, ValueKind.DOUBLE),
    "earliest": (Minimum, ValueKind.TIMESTAMP),
}
NAMED_OPERATIONS = st.one_of(
    st.tuples(st.just("sum"), st.builds(Increment, SMALL)),
    *(
        st.tuples(st.just(name), st.builds(operation, values_of(kind)))
        for name, (operation, kind) in EXTREMES.items()
    ),
)


@st.composite
def _feature_updates(draw: st.DrawFn) -> FeatureUpdate:
    name, operation = draw(NAMED_OPERATIONS)
    # Few event times, so that some are equal.
    return FeatureUpdate(name, operation, draw(st.integers(0, 5) | ANY_INSTANT))


def values_and_times(subject: FeatureAggregate) -> dict[str, tuple[FeatureValue | None, int]]:
    return {name: (feature.value, feature.event_time) for name, feature in subject.features.items()}


def outcome(items: Sequence[FeatureUpdate]) -> dict[str, tuple[FeatureValue | None, int]]:
    subject = aggregate()
    for item in items:
        change = subject.apply(update(item), NOW)
        assert change is None or not change.late_features
    return values_and_times(subject)


@given(st.data(), st.lists(_feature_updates(), max_size=12))
def test_the_order_of_commuting_operations_does_not_matter(
    data: st.DataObject, items: list[FeatureUpdate]
) -> None:
    assert outcome(data.draw(st.permutations(items))) == outcome(items)


@given(st.lists(_feature_updates(), max_size=12, unique_by=lambda item: item.name))
def test_whether_they_come_together_or_one_by_one_does_not_matter(
    items: list[FeatureUpdate],
) -> None:
    subject = aggregate()
    if items:
        subject.apply(update(*items), NOW)
    assert values_and_times(subject) == outcome(items)


def test_what_does_not_commute_does_depend_on_the_order() -> None:
    """Or the permutations above would prove nothing."""
    low: Operation = Maximum(FeatureValue(ValueKind.INT64, 1))
    high: Operation = Minimum(FeatureValue(ValueKind.INT64, 9))
    items = [FeatureUpdate("mixed", low, 0), FeatureUpdate("mixed", high, 0)]
    items.append(FeatureUpdate("mixed", Increment(FeatureValue(ValueKind.INT64, 20)), 0))
    assert outcome(items) != outcome(items[::-1])
