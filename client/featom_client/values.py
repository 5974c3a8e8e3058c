"""Feature values as plain Python values, exactly.

A kind is never guessed: what could be two kinds, or would lose something, is refused.
"""

import struct
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from featom_client.contract import FeatureValue, Timestamp

Value = Any
"""A bool, int, float, str, bytes, aware datetime, a list of one of the first four, or a numpy
scalar or vector. See `encode`."""

ELEMENT_KINDS: Final[dict[str, type]] = {
    "bool_list": bool,
    "int64_list": int,
    "double_list": float,
    "string_list": str,
}
SCALARS: Final = ("bool", "int64", "double", "string", "bytes")
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_LIST_KINDS: Final = {
    "b": "bool_list",
    "i": "int64_list",
    "u": "int64_list",
    "f": "double_list",
    "U": "string_list",
}
"""By the letters of numpy's kinds of types."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class FeatureList(list[Any]):
    """A list that says of which kind it is, so that it can be empty, or hold 32-bit floats.

    It compares and prints as a list. What is read is one, and can be written back as it is.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: str, values: Iterable[Any] = ()) -> None:
        """`kind`: bool_list, int64_list, double_list, string_list or float_vector."""
        if kind not in ELEMENT_KINDS and kind != "float_vector":
            known = ", ".join([*ELEMENT_KINDS, "float_vector"])
            raise ValueError(f"{kind!r} is no kind of list; those are {known}")
        super().__init__(values)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureList, (self.kind, list(self))


def vector(values: Iterable[float]) -> FeatureList:
    """A dense vector of 32-bit floats, such as an embedding; other floats are rounded to them."""
    return FeatureList("float_vector", values)


def encode(value: Value) -> FeatureValue:
    """The message of a value.

    bool, int, float, str and bytes are what they are; an aware datetime is a timestamp; a list or
    tuple is a list of its elements' one type. Of numpy, bools and integers and floats of any width
    become bool, int64 and double, a vector of float32 or float16 a float_vector, other vectors
    lists. Raises ValueError or TypeError, saying what is wrong.
    """
    encoder = _ENCODERS.get(type(value)) or _encoder_of(value)
    return encoder(value)


def decode(value: FeatureValue) -> Value:
    """The Python value of a message; times are in UTC, to the microsecond."""
    kind = value.WhichOneof("kind")
    reader = reader_of(kind)
    content = getattr(value, kind or "")
    return content if reader is None else reader(content)


def reader_of(kind: str | None) -> Callable[[Any], Value] | None:
    """What makes the Python value of the content of a message of this kind; None: it is that."""
    if kind not in _READERS:
        raise ValueError(f"{kind} is a kind of value that this client is too old to know")
    return _READERS[kind]


def to_datetime(message: Timestamp) -> datetime:
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1_000)


def _list_reader(kind: str) -> Callable[[Any], FeatureList]:
    return lambda content: FeatureList(kind, content.values)


_READERS: Final[dict[str | None, Callable[[Any], Value] | None]] = {
    **dict.fromkeys(f"{name}_value" for name in SCALARS),
    "timestamp_value": to_datetime,
    **{kind: _list_reader(kind) for kind in (*ELEMENT_KINDS, "float_vector")},
}


def to_timestamp(moment: datetime) -> Timestamp:
    """Raises TypeError or ValueError if it is no datetime, or has no time zone."""
    if not isinstance(moment, datetime):
        raise TypeError(f"must be a datetime with a time zone, is {_named(moment)}")
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{moment!r} has no time zone: add one, such as tzinfo=timezone.utc")
    since = moment - _EPOCH
    # A pandas.Timestamp is a datetime with nanoseconds.
    nanos = since.microseconds * 1_000 + int(getattr(since, "nanoseconds", 0))
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=nanos)


def _encode_bool(value: Any) -> FeatureValue:
    return FeatureValue(bool_value=value)


def _encode_int(value: Any) -> FeatureValue:
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError(f"{value} is not within 64 bits")
    return FeatureValue(int64_value=value)


def _encode_float(value: Any) -> FeatureValue:
    return FeatureValue(double_value=value)


def _encode_text(value: Any) -> FeatureValue:
    return FeatureValue(string_value=_text(value))


def _encode_bytes(value: Any) -> FeatureValue:
    return FeatureValue(bytes_value=bytes(value))


def _encode_datetime(value: Any) -> FeatureValue:
    return FeatureValue(timestamp_value=to_timestamp(value))


def _encode_list(value: Any) -> FeatureValue:
    types = set(map(type, value))
    if not types:
        raise ValueError("an empty list has no kind: write FeatureList('int64_list') or the like")
    for kind, element in ELEMENT_KINDS.items():
        if types == {element}:
            return _encode_feature_list(FeatureList(kind, value))
    if any(hasattr(each, "dtype") for each in value):
        return _encode_list([each.item() if hasattr(each, "dtype") else each for each in value])
    names = ", ".join(sorted(each.__name__ for each in types))
    raise TypeError(
        f"a list must hold bools, ints, floats or strs and one of them only, not {names}"
    )


def _encode_feature_list(value: FeatureList) -> FeatureValue:
    message = FeatureValue()
    elements = getattr(message, value.kind)
    elements.SetInParent()
    if value.kind == "float_vector":
        elements.values.extend(map(_float32, value))
        return message
    wanted = ELEMENT_KINDS[value.kind]
    if strangers := {type(each) for each in value} - {wanted}:
        names = ", ".join(sorted(each.__name__ for each in strangers))
        raise TypeError(f"{value.kind} must hold {wanted.__name__}s, not {names}")
    if wanted is int and value and (min(value) < INT64_MIN or max(value) > INT64_MAX):
        raise ValueError("an element is not within 64 bits")
    if wanted is str:
        value = FeatureList(value.kind, map(_text, value))
    elements.values.extend(value)
    return message


def _encode_numpy(value: Any) -> FeatureValue:
    """A numpy scalar, or a vector; numpy itself is not imported for it."""
    letter, shape = value.dtype.kind, value.shape
    if letter not in "biufUSO" or (value.dtype.itemsize > 8 and letter in "f"):
        hint = ": give a datetime with a time zone" if letter == "M" else ""
        raise TypeError(f"numpy's {value.dtype} is no kind of value{hint}")
    if shape == ():
        return encode(value.item())
    if len(shape) != 1:
        raise ValueError(f"a vector has one dimension, not {len(shape)}")
    if letter == "f" and value.dtype.itemsize < 8:
        return _encode_feature_list(vector(value.tolist()))
    if letter in _LIST_KINDS:
        return _encode_feature_list(FeatureList(_LIST_KINDS[letter], value.tolist()))
    return _encode_list(value.tolist())


_ENCODERS: Final[dict[type, Callable[[Any], FeatureValue]]] = {
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_text,
    bytes: _encode_bytes,
    datetime: _encode_datetime,
    list: _encode_list,
    tuple: _encode_list,
    FeatureList: _encode_feature_list,
}


def _encoder_of(value: Any) -> Callable[[Any], FeatureValue]:
    """For types that are not those of Python themselves, but close to them."""
    if value is None:
        raise ValueError("None is no value: leave the feature out, or remove() it")
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _encode_numpy
    if isinstance(value, (bytearray, memoryview)):
        return _encode_bytes
    for sort in (bool, int, float, str, bytes, datetime, list, tuple):
        if isinstance(value, sort):
            return _ENCODERS[sort]
    raise TypeError(f"{_named(value)} is no kind of value")


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is no text: it holds half of a surrogate pair") from None
    return value


def _float32(value: Any) -> float:
    number = float(value)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise ValueError(f"{value} is not within 32 bits") from None
    return number


def _named(value: object) -> str:
    return type(value).__name__
