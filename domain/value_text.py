"""Values and durations in words, for messages that people read."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from domain.timestamp import MICROSECOND, SECOND
from domain.values import FeatureValue, ValueKind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def value_text(value: FeatureValue) -> str:
    return content_text(value.kind, value.content)


_LONGEST: Final = 60


def short_text(content: Any) -> str:
    """The beginning of a content as it may be shown in a message: never much, whatever it is."""
    whole = content[:_LONGEST] if isinstance(content, str | bytes | tuple) else content
    text = repr(whole) if isinstance(content, str | bytes) else str(whole)
    cut = whole != content or len(text) > _LONGEST
    return f"{text[:_LONGEST]}…" if cut else text


def content_text(kind: ValueKind, content: Any) -> str:
    """The content of a value, or of an element, of a kind."""
    if kind is ValueKind.TIMESTAMP:
        time = _EPOCH + timedelta(microseconds=content // MICROSECOND)
        return time.isoformat().replace("+00:00", "Z")
    return str(content)


def duration_text(nanoseconds: int) -> str:
    """A duration in the largest unit that it is a whole number of, such as 24h."""
    for unit, seconds in _UNITS:
        if nanoseconds % (seconds * SECOND) == 0:
            return f"{nanoseconds // (seconds * SECOND)}{unit}"
    return f"{Decimal(nanoseconds).scaleb(-9).normalize():f}s"
