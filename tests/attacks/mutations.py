"""Messages that are nearly right."""

import random
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.attacks.texts import replacements

_TEXTS: Final = (
    "",
    "a",
    "attacked",
    "attacked_type",
    "e-1",
    "f1",
    "age >= 18 || [1].all(x, x / 0 == 1)",
    "'; DROP TABLE aggregates; --",
    "../../etc/passwd",
    "\x00",
    "ß" * 300,
    '"CU3i1FceSO2h_eW-Tc3onwAAAAEAAAAAAAAAAQ"',
)
_CONDITIONS: Final = (
    "etag",
    "request_id",
    "page_token",
    "consistency",
    "as_of_event_time",
    "revision",
    "erase_history",
)
_BYTES: Final = (b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff" * 9 + b"\x01", b"\x0a", b"\x80" * 10)


def mutated(request: Message, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A request with a string or a field changed, or its bytes in up to three places."""
    if chance.random() < 0.6:
        request = plain(request)
    match chance.randrange(4):
        case 0:
            replace = chance.choice(_replacements(request) or [lambda text: request])
            return bytes(replace(chance.choice(_TEXTS)).SerializeToString())
        case 1 | 2:
            copy = type(request)()
            copy.CopyFrom(request)
            for _ in range(chance.randint(1, 2)):
                _change_a_field(copy, chance)
            return copy.SerializeToString()
        case _:
            data = request.SerializeToString()
            for _ in range(chance.randint(1, 3)):
                data = _mutated_once(data, others, chance)
            return data


def _replacements(request: Message) -> list[Any]:
    return [replace for _, replace in replacements(request)]


def _change_a_field(message: Any, chance: random.Random) -> None:
    """Leave out, repeat, or change one field, somewhere in the message."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = chance.choice(fields)
    if chance.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _change_a_field(chance.choice(list(value.values())), chance)
    elif field.is_repeated:
        _change_a_list(field, value, chance)
    elif field.message_type is not None:
        _change_a_field(value, chance)
    elif field.name != "entity_type":  # the types that there are should be met now and then
        setattr(message, field.name, _another(field, chance))


def _change_a_list(field: FieldDescriptor, value: Any, chance: random.Random) -> None:
    several = chance.choice((1, 1, 1, 2, 40))
    if field.message_type is None:
        value.extend(_another(field, chance) for _ in range(several))
    elif chance.random() < 0.3:
        value.extend([chance.choice(value)] * several)
    else:
        _change_a_field(chance.choice(value), chance)


def _another(field: FieldDescriptor, chance: random.Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        text = chance.choice(_TEXTS)
        return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return chance.choice((0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("nan")))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_INT64:
        return chance.choice((0, 1, -1, 7, 253_402_300_800, 2**63 - 1, -(2**63)))
    return chance.choice((0, 1, 2, -1, 999_999_999, 2**31 - 1, -(2**31)))


def plain(request: Message) -> Message:
    """Without what makes a request fit one state alone: more of them get through."""
    copy = type(request)()
    copy.CopyFrom(request)
    inner = (getattr(copy, name, None) for name in ("update", "entity_type", "definition"))
    for part in (copy, *inner, *getattr(copy, "updates", ())):
        for name in _CONDITIONS:
            if isinstance(part, Message) and name in part.DESCRIPTOR.fields_by_name:
                part.ClearField(name)
    return copy


def _mutated_once(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    begin = chance.randint(0, len(data))
    end = min(len(data), begin + chance.choice((1, 1, 1, 2, 8, 64)))
    match chance.randrange(6):
        case 0:  # flip a bit
            if begin == len(data):
                return data
            flipped = bytes([data[begin] ^ 1 << chance.randrange(8)])
            return data[:begin] + flipped + data[begin + 1 :]
        case 1:  # leave something out
            return data[:begin] + data[end:]
        case 2:  # say something twice
            return data[:end] + data[begin:]
        case 3:  # put in what numbers and lengths stumble over
            return data[:begin] + chance.choice(_BYTES) + data[end:]
        case 4:  # put in a part of another message
            other = chance.choice(others)
            cut = chance.randint(0, len(other))
            return data[:begin] + other[cut : cut + 64] + data[end:]
        case _:  # end early
            return data[:begin]
