"""What `featom update` is told to do with each feature: NAME=VALUE and its kin, or JSON.

payments+=1               adds
last_country=NO           sets: text that is no number, true or false is a text
spent=49.90               a double; 49 would be an int64
largest=max:49.90         keeps the larger one; min: the smaller one
merchants=append:m-17     appends
code=string:0047          says the kind, where the text alone would not
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from featom_client import FeatureList, Value, append, inc, maximum, minimum, remove

_INT: Final = re.compile(r"[+-]?[0-9]+")
_DOUBLE: Final = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?")
_BOOLS: Final = {"true": True, "false": False}
_LISTS: Final = ("bool_list", "int64_list", "double_list", "string_list", "float_vector")
_NUMBER_LISTS: Final = ("double_list", "float_vector")


class AssignmentsRefused(Exception):
    """Some of them cannot be understood; the message has a line for each."""


def read_assignments(
    assignments: Sequence[str], removed: Sequence[str] = (), keep: int = 0
) -> dict[str, Any]:
    """The changes that NAME=VALUE and the like say, and the removal of `removed`, for the client.

    Appends keep the newest `keep` elements; 0: all. Raises AssignmentsRefused, naming all that is
    wrong.
    """
    changes: dict[str, Any] = {}
    problems: list[str] = []
    for text in assignments:
        try:
            name, change = _read(text, keep)
            _add(changes, name, change)
        except ValueError as error:
            problems.append(f"{text}: {error}")
    for name in removed:
        try:
            _add(changes, name, remove())
        except ValueError as error:
            problems.append(f"--remove {name}: {error}")
    if problems:
        raise AssignmentsRefused("\n  ".join(["not understood:", *problems]))
    return changes


def read_json(text: str, keep: int = 0) -> dict[str, Any]:
    """The changes that a JSON object says: a value for each name, or an object with one field, an
    operation or a kind. Raises AssignmentsRefused, naming all that is wrong."""
    try:
        document = json.loads(text, object_pairs_hook=_without_repetition)
    except ValueError as error:
        raise AssignmentsRefused(f"standard input is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise AssignmentsRefused("standard input must be a JSON object, with a field a feature")
    changes: dict[str, Any] = {}
    problems: list[str] = []
    for name, content in document.items():
        try:
            changes[name] = _change_in(content, keep)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise AssignmentsRefused("\n  ".join(["not understood:", *problems]))
    return changes


def _add(changes: dict[str, Any], name: str, change: Any) -> None:
    if name in changes:
        raise ValueError("is named twice")
    changes[name] = change


def _read(text: str, keep: int) -> tuple[str, Any]:
    name, sign, content = text.partition("=")
    if not sign or name in {"", "+"}:
        raise ValueError("must be NAME=VALUE or NAME+=VALUE")
    if name.endswith("+"):
        return name[:-1], inc(_value(content))
    word, colon, rest = content.partition(":")
    if colon and word in _OPERATIONS:
        return name, _operation(word, _value(rest), keep)
    return name, _value(content)


_OPERATIONS: Final[dict[str, Callable[[Value], Any]]] = {
    "max": maximum,
    "min": minimum,
    "append": append,
}


def _operation(word: str, value: Value, keep: int) -> Any:
    return append(value, keep) if word == "append" else _OPERATIONS[word](value)


def _value(text: str) -> Value:
    """A value that may begin with its kind and a colon. Raises ValueError."""
    kind, colon, rest = text.partition(":")
    if colon and kind in _KINDS:
        return _of_kind(kind, _from_text(kind, rest))
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _DOUBLE.fullmatch(text):
        return float(text)
    if text.startswith("["):
        return _list(_json_list(text))
    return text


def _from_text(kind: str, text: str) -> Any:
    """What stands after the colon, as JSON would have it."""
    if kind in _LISTS:
        return _json_list(text)
    if kind == "bool":
        return _BOOLS.get(text, text)
    if kind == "int64" and _INT.fullmatch(text):
        return int(text)
    return text


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("must be a list as in JSON, or begin with string:") from None


def _change_in(content: Any, keep: int) -> Any:
    if isinstance(content, Mapping):
        if len(content) != 1:
            raise ValueError("must be a value, or an object with one field")
        ((word, inner),) = content.items()
        if word == "set":
            return _value_in(inner)
        if word == "remove" and inner is True:
            return remove()
        if word == "increment":
            return inc(_value_in(inner))
        if word in {"maximum", "minimum", "append"}:
            return _operation(word.removesuffix("imum"), _value_in(inner), keep)
    return _value_in(content)


def _value_in(content: Any) -> Value:
    """The value that JSON has. Raises ValueError."""
    if isinstance(content, Mapping):
        if len(content) == 1:
            ((kind, inner),) = content.items()
            if kind in _KINDS:
                return _of_kind(kind, inner)
        known = ", ".join(_KINDS)
        raise ValueError(f"an object must have one field, an operation or a kind: {known}")
    if isinstance(content, list):
        return _list(content)
    if content is None:
        raise ValueError("null is no value: leave the feature out, or remove it")
    return content


def _list(elements: Any) -> FeatureList:
    """A list whose elements say of which kind it is; among doubles ints are doubles."""
    types = set(map(type, elements))
    kinds = {bool: "bool_list", int: "int64_list", float: "double_list", str: "string_list"}
    if types == {int, float}:
        types = {float}
    if len(types) != 1 or not types <= kinds.keys():
        raise ValueError(
            "must hold bools, numbers or texts and one of them only; an empty list needs its kind,"
            " such as int64_list:[]"
        )
    (kind,) = (kinds[each] for each in types)
    return _elements(kind)(elements)


def _of_kind(kind: str, content: Any) -> Any:
    try:
        return _KINDS[kind](content)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError(f"is no {kind}: {error}") from error


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def read(content: Any) -> Any:
        if type(content) is not wanted:
            raise TypeError(f"{content!r}")
        return content

    return read


def _double(content: Any) -> float:
    if isinstance(content, (bool, list, dict)):
        raise TypeError(f"{content!r}")
    return float(content)


def _bytes(content: Any) -> bytes:
    return base64.b64decode(content, validate=True)


def read_time(text: Any) -> datetime:
    """A time with its zone. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"must be a time such as 2026-01-31T12:00:00Z, not {text!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone: add Z for UTC, or +01:00")
    return moment


def _elements(kind: str) -> Callable[[Any], FeatureList]:
    def read(content: Any) -> FeatureList:
        if not isinstance(content, list):
            raise TypeError(f"{content!r}")
        return FeatureList(kind, map(_double, content) if kind in _NUMBER_LISTS else content)

    return read


_KINDS: Final[dict[str, Callable[[Any], Any]]] = {
    "bool": _exactly(bool),
    "int64": _exactly(int),
    "double": _double,
    "string": _exactly(str),
    "bytes": _bytes,
    "timestamp": read_time,
    **{kind: _elements(kind) for kind in _LISTS},
}


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands there twice")
    return fields
