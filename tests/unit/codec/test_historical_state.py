"""The past of an aggregate, folded from its stored changes."""

from codec.event_time_fold import fold_by_event_time
from domain.timestamp import LATEST
from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate


def test_an_aggregate_whose_beginning_was_dropped_still_has_its_name() -> None:
    change = AggregateChange(uid="an incarnation", version=7)
    change.key.entity_type, change.key.entity_id = "card", "4711"
    change.features["f"].value.int64_value = 1
    change.features["f"].version = 7
    past = fold_by_event_time([change.SerializeToString()], LATEST)
    assert past is not None
    state = FeatureAggregate.FromString(past.state)
    assert (state.key, state.uid) == (change.key, "an incarnation")
    assert not state.HasField("create_time")
