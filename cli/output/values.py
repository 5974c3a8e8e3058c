"""Feature values as text for people, and as JSON for programs."""

import base64
import json
import math
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import typer
from featom_client import FeatureList, Value

_KINDS: Final[dict[type, str]] = {
    bool: "bool",
    int: "int64",
    float: "double",
    str: "string",
    bytes: "bytes",
    datetime: "timestamp",
}
_SHOWN: Final = 8
"""Elements of a list that a table has room for."""


def kind_of(value: Value) -> str:
    """The name of the kind of a value that was read, such as `int64` or `float_vector`."""
    return value.kind if isinstance(value, FeatureList) else _KINDS[type(value)]


def as_json(value: Value) -> Any:
    """What JSON has for values: exact numbers, times as RFC 3339, bytes as Base64.

    JSON has no number that is none, so NaN and the infinities are texts, as in protobuf's JSON.
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, Mapping):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def as_cell(value: Any) -> str:
    """A value in a line of CSV: what JSON has, but texts as they are."""
    if value is None:
        return ""
    content = as_json(value)
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def as_text(value: Any) -> str:
    """A value in a table: a long list is cut, and nothing in it moves the cursor."""
    if isinstance(value, list) and len(value) > _SHOWN:
        begins = ", ".join(as_text(each) for each in value[:_SHOWN])
        return f"[{begins}, … {len(value):,} in all]"
    return printable(as_cell(value))


def printable(text: str) -> str:
    """The text with what a terminal would obey written out."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def coloured(text: str, colour: str) -> str:
    """The text in a colour, where people look at it who have not set NO_COLOR."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, fg=colour) if wanted else text


def time_text(moment: datetime) -> str:
    """RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
