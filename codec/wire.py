"""Protobuf's wire format, for messages that are put together from serialized parts.

Serialized messages one after the other are one message with the fields of all of them (protobuf
encoding: "last one wins").
"""

from typing import Final

from google.protobuf.message import Message

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2


def tag(message: type[Message], field: str) -> bytes:
    """The tag of a message or string field, as it stands before its length."""
    return _tag(message, field, _LENGTH_DELIMITED)


def number_tag(message: type[Message], field: str) -> bytes:
    """The tag of a field of whole numbers, as it stands before the `varint`."""
    return _tag(message, field, _VARINT)


def nested(field: bytes, content: bytes) -> bytes:
    """A message or string as the field with a tag."""
    return b"".join((field, varint(len(content)), content))


def varint(number: int) -> bytes:
    """A number as protobuf writes lengths: seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _tag(message: type[Message], field: str, kind: int) -> bytes:
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | kind)
