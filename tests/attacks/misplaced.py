"""Requests with a text where no right request has one: as the value of another kind's operation, as
the bound of a feature, in what the server alone may set.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from featom.v1 import entity_type_pb2 as type_pb
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.value_pb2 import FeatureValue, StringList
from tests.attacks.requests import KEY, REQUEST_ID

_STORE: Final = "/featom.v1.FeatureStoreService/"
_TYPES: Final = "/featom.v1.EntityTypeService/"

_TEXTS: Final[Mapping[Any, FeatureValue]] = {
    type_pb.FEATURE_TYPE_STRING: FeatureValue(string_value="text"),
    type_pb.FEATURE_TYPE_BYTES: FeatureValue(bytes_value=b"text"),
    type_pb.FEATURE_TYPE_STRING_LIST: FeatureValue(string_list=StringList(values=["text"])),
}

# One a request, so that no other mistake is what it is refused for.
_ITEMS: Final = [
    item
    for value in _TEXTS.values()
    for item in (
        pb.FeatureUpdate(name="f", increment=value),
        pb.FeatureUpdate(name="f", maximum=value),
        pb.FeatureUpdate(name="f", minimum=value),
        pb.FeatureUpdate(name="f", append=pb.AppendOperation(value=value)),
    )
]
_UPDATES: Final = [
    pb.UpdateFeaturesRequest(key=KEY, updates=[item], request_id=REQUEST_ID) for item in _ITEMS
]
_DEFINITIONS: Final = [
    type_pb.EntityType(name="misplaced", features={"f": type_pb.FeatureSpec(type=kind, **bound)})
    for kind, value in _TEXTS.items()
    for bound in (
        {"minimum": value},
        {"maximum": value},
        {"default_value": value},
        {"allowed_values": [value]},
    )
]

MISPLACED: Final[Mapping[str, Sequence[Message]]] = {
    f"{_STORE}UpdateFeatures": _UPDATES,
    f"{_STORE}BatchUpdateFeatures": [
        pb.BatchUpdateFeaturesRequest(updates=[update]) for update in _UPDATES
    ],
    f"{_STORE}StreamUpdateFeatures": [
        pb.StreamUpdateFeaturesRequest(update=update) for update in _UPDATES
    ],
    f"{_TYPES}ApplyEntityType": [
        types_pb.ApplyEntityTypeRequest(entity_type=definition) for definition in _DEFINITIONS
    ],
    f"{_TYPES}CheckAggregates": [
        types_pb.CheckAggregatesRequest(entity_type="misplaced", definition=definition)
        for definition in _DEFINITIONS
    ],
}
