"""Every text of a message, strings and bytes, keys of maps among them: where they are, and how to
replace them.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Replacement = Callable[[str], Message]
"""The request with one of its texts replaced."""

_TEXTS: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def replacements(request: Message) -> Iterator[tuple[str, Replacement]]:
    """Each text of a request by its path, and how to replace it."""
    for path, steps in _texts(request, "", ()):

        def replaced(text: str, steps: tuple[Any, ...] = steps) -> Message:
            copy = type(request)()
            copy.CopyFrom(request)
            _replace(copy, steps, text)
            return copy

        yield path, replaced


def paths_of(message: Any, before: str = "") -> Iterator[str]:
    """Of a descriptor: the path of every text that a message may have, as `replacements` has it."""
    for field in message.fields:
        here = f"{before}.{field.name}".lstrip(".")
        if _is_map(field):
            yield f"{here} (key)"
            yield from paths_of(field.message_type.fields_by_name["value"].message_type, here)
        elif field.message_type is not None:
            yield from paths_of(field.message_type, here)
        elif field.type in _TEXTS:
            yield here


def _texts(message: Any, path: str, steps: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        here = f"{path}.{field.name}".lstrip(".")
        if _is_map(field):
            for key in value:
                yield f"{here} (key)", (*steps, (field, key, True))
                yield from _texts(value[key], here, (*steps, (field, key, False)))
        elif field.message_type is not None:
            several = list(value) if field.is_repeated else [value]
            for index, each in enumerate(several):
                position = index if field.is_repeated else None
                yield from _texts(each, here, (*steps, (field, position, False)))
        elif field.type in _TEXTS:
            positions: list[int | None] = [*range(len(value))] if field.is_repeated else [None]
            for each in positions:
                yield here, (*steps, (field, each, True))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _replace(message: Any, steps: tuple[Any, ...], text: str) -> None:
    (field, position, last), *rest = steps
    value = getattr(message, field.name)
    new = text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    if not last:
        _replace(value if position is None else value[position], tuple(rest), text)
    elif position is None:
        setattr(message, field.name, new)
    elif isinstance(position, str):
        value[text].CopyFrom(value[position])
        if text != position:
            del value[position]
    else:
        value[position] = new
