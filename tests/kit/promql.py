"""What a question to Prometheus is about: its metrics, and the values of labels that it names."""

import re
from collections.abc import Iterator
from typing import Final

_STRING: Final = re.compile(r'"[^"]*"')
_SELECTOR: Final = re.compile(r"\{[^}]*\}")
_LABELS: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE: Final = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_NAME: Final = re.compile(r"(?<![\w.:$])[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()")
_MATCHER: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_WORDS: Final = frozenset({"and", "or", "unless", "bool"})


def metrics_in(expression: str) -> set[str]:
    """Every metric that an expression names, as `_bucket`, `_sum` and `_count` are exported."""
    for part in (_SELECTOR, _STRING, _LABELS, _RANGE):
        expression = part.sub(" ", expression)
    return {name for name in _NAME.findall(expression) if name not in _WORDS}


def matchers_in(expression: str) -> Iterator[tuple[str, str]]:
    """Each label with each value that it is compared to; a variable of a dashboard is none."""
    for label, values in _MATCHER.findall(expression):
        for value in values.split("|"):
            if not value.startswith("$"):
                yield label, value
