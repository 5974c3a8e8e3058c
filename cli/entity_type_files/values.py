"""Feature values as they are written in YAML."""

import base64
import binascii
import reprlib
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from featom.v1 import entity_type_pb2 as pb
from featom.v1.value_pb2 import FeatureValue

TYPES: Final = {
    name.removeprefix("FEATURE_TYPE_").lower(): number
    for name, number in pb.FeatureType.items()
    if number
}
TYPE_NAMES: Final = {number: name for name, number in TYPES.items()}
_PYTHON_TYPES: Final = {"bool": bool, "int64": int, "string": str}
_SHORT: Final = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring = 2, 3, 3, 60
_ELEMENTS: Final = {"float_vector": "double"}


def element_type(type_name: str) -> str:
    """What bounds and allowed values of a type are."""
    return _ELEMENTS.get(type_name, type_name.removesuffix("_list"))


def to_value(content: Any, type_name: str) -> FeatureValue:
    """Raises ValueError if the content is not of the type."""
    message = FeatureValue()
    if type_name.endswith(("_list", "_vector")):
        if not isinstance(content, list):
            raise ValueError(f"must be a list, is {shown(content)}")
        elements = getattr(message, type_name)
        elements.SetInParent()
        elements.values.extend(_scalar(each, element_type(type_name)) for each in content)
    elif type_name == "timestamp":
        _read_timestamp(content, message.timestamp_value)
    else:
        setattr(message, f"{type_name}_value", _scalar(content, type_name))
    return message


def from_value(message: FeatureValue) -> Any:
    """The content of a value, as YAML has it."""
    kind = message.WhichOneof("kind") or "string_value"
    content = getattr(message, kind)
    if kind == "timestamp_value":
        return content.ToJsonString()
    if kind == "bytes_value":
        return base64.b64encode(content).decode()
    return list(content.values) if hasattr(content, "values") else content


def shown(content: Any) -> str:
    """The beginning of what was written: with YAML's aliases a small file can mean a lot."""
    return _SHORT.repr(content)


def _scalar(content: Any, type_name: str) -> Any:
    wanted = _PYTHON_TYPES.get(type_name)
    if type_name == "bytes":
        try:
            return base64.b64decode(content, validate=True)
        except (TypeError, binascii.Error) as error:
            raise ValueError("must be bytes in Base64") from error
    if type_name == "double":
        # YAML 1.1 takes 1e6 for a text.
        if isinstance(content, bool) or not isinstance(content, (int, float, str)):
            raise ValueError(f"must be a number, is {shown(content)}")
        return float(content)
    if wanted is None or type(content) is not wanted:
        raise ValueError(f"must be {type_name}, is {shown(content)}")
    if isinstance(content, int) and not -(2**63) <= content < 2**63:
        raise ValueError("must fit into 64 bits")
    return content


def _read_timestamp(content: Any, into: Timestamp) -> None:
    try:
        if isinstance(content, str):
            into.FromJsonString(content)  # to the nanosecond
        elif isinstance(content, datetime):
            # YAML's own times are UTC without saying so.
            into.FromDatetime(content if content.tzinfo else content.replace(tzinfo=UTC))
        else:
            raise ValueError
    except ValueError as error:
        wanted = "must be a time such as 2026-01-31T12:00:00Z"
        raise ValueError(f"{wanted}, is {shown(content)}") from error
