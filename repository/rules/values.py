"""Feature values as CEL takes them."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp as TimestampMessage

from codec.timestamps import encode_timestamp
from domain.feature_spec import FeatureSpec
from domain.timestamp import Timestamp
from domain.transition import Transition
from domain.values import FeatureValue, ValueKind
from repository.rules.reading import Sample

_AS_IT_IS: Final = frozenset(
    (
        ValueKind.BOOL,
        ValueKind.INT64,
        ValueKind.DOUBLE,
        ValueKind.STRING,
        ValueKind.BYTES,
    )
)

SAMPLE_TIME: Final = TimestampMessage()
_SAMPLES: Final[dict[ValueKind, Any]] = {
    ValueKind.BOOL: True,
    ValueKind.INT64: 1,
    ValueKind.DOUBLE: 1.0,
    ValueKind.STRING: "a",
    ValueKind.BYTES: b"a",
    ValueKind.TIMESTAMP: SAMPLE_TIME,
    ValueKind.BOOL_LIST: [True],
    ValueKind.INT64_LIST: [1],
    ValueKind.DOUBLE_LIST: [1.0],
    ValueKind.STRING_LIST: ["a"],
    ValueKind.FLOAT_VECTOR: [1.0],
}


def to_timestamp(timestamp: Timestamp) -> TimestampMessage:
    """A message: inside a map the runtime takes no datetime, and this one has nanoseconds."""
    message = TimestampMessage()
    encode_timestamp(timestamp, message)
    return message


def to_cel(value: FeatureValue) -> Any:
    kind, content = value.kind, value.content
    if kind in _AS_IT_IS:
        return content
    return to_timestamp(content) if kind is ValueKind.TIMESTAMP else list(content)


def sample_of(spec: FeatureSpec) -> Any:
    """Some value of the kind of a feature."""
    return _SAMPLES[spec.kind]


def facts_of(transition: Transition, reading: Sample) -> dict[str, Any]:
    """The variables that an expression names, with only the features that it names."""
    facts: dict[str, Any] = {}
    variables = reading.variables
    if "features" in variables:
        names = transition.names_after() if reading.features is None else reading.features
        facts["features"] = _values(transition.after, names)
    if "previous" in variables:
        names = transition.names_before() if reading.previous is None else reading.previous
        facts["previous"] = _values(transition.before, names)
    if "changed" in variables:
        facts["changed"] = transition.changed
    if "now" in variables:
        facts["now"] = to_timestamp(transition.now)
    if "entity_id" in variables:
        facts["entity_id"] = transition.entity_id
    return facts


def _values(value_of: Callable[[str], FeatureValue | None], names: Iterable[str]) -> dict[str, Any]:
    return {name: to_cel(value) for name in names if (value := value_of(name)) is not None}
