"""Says where a rule mixes ints and doubles, and what to write instead.

CEL converts no number by itself. Its checker takes `features.x / 100` for an int, as 100 is one,
whatever the feature is; so it finds fault with what that is compared with, which may be right.
"""

import re
from collections.abc import Sequence
from typing import Final

from repository.rules.reading import PlacedToken, placed_tokens

_MIXED: Final = re.compile(
    r"ound no matching overload for '_(?P<operator>[^\w\s]+)_' applied to"
    r" '\((?P<left>int|double), (?P<right>int|double)\)'"
)
_AT_RUN_TIME: Final = re.compile(
    r"No matching overloads found : _(?P<operator>[^\w\s]+)_\((?:int64, double|double, int64)\)"
)
# What binds less than a comparison ends its operands, as does a parenthesis that is not theirs.
_LOOSER: Final = frozenset({"&", "|", "?", ":", ",", "<", ">", "=", "!"})
_SUMS: Final = frozenset("+-")
_PRODUCTS: Final = frozenset("*/%")
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")


def mixed_numbers(expression: str, line: int, column: int, error: str) -> str | None:
    """What to say of a compiler's error at a place, counted from 1; None: it is no such one."""
    found = _MIXED.search(error)
    if found is None or found["left"] == found["right"]:
        return None
    tokens = placed_tokens(expression)
    blamed = _at(tokens, _offset(expression, line, column))
    if blamed is None:
        return None
    left_is_int = found["left"] == "int"
    operand = _left(tokens, blamed) if left_is_int else _right(tokens, blamed, found["operator"])
    place = _arithmetic_in(tokens, *operand)
    if place is None:
        return _said(expression, tokens[blamed].start, "")
    start, end = _operand_around(tokens, place, operand)
    part = expression[tokens[start].start : tokens[end - 1].end]
    return _said(expression, tokens[place].start, f"`{part}` counts as an int, and so ")


def mixed_at_run_time(expression: str, error: str) -> str | None:
    """The same for an error that came when a rule was tried; None: it is no such one."""
    found = _AT_RUN_TIME.search(error)
    if found is None:
        return None
    tokens = placed_tokens(expression)
    operator = found["operator"]
    places = [each.start for each in tokens if each.text == operator[0] and each.sort == "sign"]
    return _said(expression, places[0] if len(places) == 1 else None, "")


def _said(expression: str, offset: int | None, why: str) -> str:
    text = (
        f"{why}int and double do not mix here: write 100.0 for a number that is to be a double,"
        " and double(…) around a feature that is an int64"
    )
    if offset is None:
        return text
    before = expression[:offset]
    line = before.count("\n") + 1
    column = offset - (before.rfind("\n") + 1)
    shown = expression.splitlines()[line - 1]
    return f"line {line}, column {column + 1}: {text}\n | {shown}\n | {'.' * column}^"


def _offset(expression: str, line: int, column: int) -> int:
    before = expression.split("\n")[: line - 1]
    return sum(len(each) + 1 for each in before) + column - 1


def _at(tokens: Sequence[PlacedToken], offset: int) -> int | None:
    return next((i for i, each in enumerate(tokens) if each.start == offset), None)


def _left(tokens: Sequence[PlacedToken], operator: int) -> tuple[int, int]:
    """From where to where the operand before an operator goes; it may hold looser ones inside."""
    return _walk(tokens, operator - 1, -1) + 1, operator


def _right(tokens: Sequence[PlacedToken], operator: int, text: str) -> tuple[int, int]:
    start = operator + len(text)
    return start, _walk(tokens, start, 1)


def _walk(tokens: Sequence[PlacedToken], index: int, step: int) -> int:
    """The first token in a direction that is no part of the operand that begins there."""
    inside, outside = (_CLOSING, _OPENING) if step < 0 else (_OPENING, _CLOSING)
    depth = 0
    while 0 <= index < len(tokens):
        text = tokens[index].text if tokens[index].sort == "sign" else ""
        if text in inside:
            depth += 1
        elif text in outside:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and text in _LOOSER:
            break
        index += step
    return index


def _arithmetic_in(tokens: Sequence[PlacedToken], start: int, end: int) -> int | None:
    """The operator that is worked out last in an operand, as its kind is that of the operand."""
    while start < end and tokens[start].text == "(" and _walk(tokens, start + 1, 1) == end - 1:
        start, end = start + 1, end - 1
    depth, last = 0, None
    for index in range(start, end):
        if tokens[index].sort != "sign":
            continue
        text = tokens[index].text
        depth += (text in _OPENING) - (text in _CLOSING)
        is_binary = index > start and (
            tokens[index - 1].sort != "sign" or tokens[index - 1].text in _CLOSING
        )
        if depth or not is_binary:
            continue
        loosest_yet = last is None or tokens[last].text in _PRODUCTS
        if text in _SUMS or (text in _PRODUCTS and loosest_yet):
            last = index
    return last


def _operand_around(
    tokens: Sequence[PlacedToken], place: int, operand: tuple[int, int]
) -> tuple[int, int]:
    """What an operator is worked out of, without the parentheses around all of it."""
    start, end = operand
    while start < place and tokens[start].text == "(" and _walk(tokens, start + 1, 1) == end - 1:
        start, end = start + 1, end - 1
    return start, end
