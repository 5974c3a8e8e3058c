"""Rules to draw from: each in CEL, and beside it what it means in Python."""

import re
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias

from tests.consistency.rules.plain_type import Moment, PlainRule, View

# 2020-01-01, before every commit.
_LONG_AGO: Final = 1_577_836_800 * 10**9
COUNTS: Final = ("n0", "n1", "n2")
"""Features with numbers; arithmetic in CEL takes two of one kind only."""

Drawn: TypeAlias = tuple[str, set[str], Callable[[View], bool]]
"""An expression, the features it reads, and what it means."""


def draw_rule(chance: Random, number: int) -> tuple[PlainRule, frozenset[str]]:
    """A rule, and the features that it reads by name."""
    expression, reads, holds = chance.choice(_TEMPLATES)(chance)
    return PlainRule(f"rule_{number}", expression, holds), frozenset(reads)


def _nested(chance: Random) -> Drawn:
    a, b = chance.sample(COUNTS, 2)
    expression = f"features.{a} <= features.{b}"
    return expression, {a, b}, lambda view: bool(view.features[a] <= view.features[b])


def _sum(chance: Random) -> Drawn:
    a, b = chance.sample(COUNTS, 2)
    most = chance.randint(8, 12)

    def holds(view: View) -> bool:
        one, other = view.features[a], view.features[b]
        return bool(_alike(one, other) and one + other <= most)

    return f"features.{a} + features.{b} <= {most}", {a, b}, holds


def _guarded(chance: Random) -> Drawn:
    a, b = chance.sample(COUNTS, 2)
    gap = chance.randint(0, 4)
    guard = f"!has(features.{a}) || !has(features.{b})"

    def holds(view: View) -> bool:
        if a not in view.features or b not in view.features:
            return True
        one, other = view.features[a], view.features[b]
        return bool(_alike(one, other) and one - other <= gap)

    return f"{guard} || features.{a} - features.{b} <= {gap}", {a, b}, holds


def _together(chance: Random) -> Drawn:
    a, b = chance.sample([*COUNTS, "s0", "b0"], 2)
    expression = f'("{a}" in changed) == ("{b}" in changed)'
    return expression, set(), lambda view: (a in view.changed) == (b in view.changed)


def _closed(chance: Random) -> Drawn:
    name = chance.choice(COUNTS)

    def holds(view: View) -> bool:
        return view.previous.get("s0") != "c" or name not in view.changed

    expression = f'!has(previous.s0) || previous.s0 != "c" || !("{name}" in changed)'
    return expression, {"s0"}, holds


def _rising(chance: Random) -> Drawn:
    name = chance.choice(COUNTS)
    guard = f"!has(previous.{name}) || !has(features.{name})"

    def holds(view: View) -> bool:
        if name not in view.previous or name not in view.features:
            return True
        return bool(view.features[name] >= view.previous[name])

    return f"{guard} || features.{name} >= previous.{name}", {name}, holds


def _each_element(chance: Random) -> Drawn:
    most = chance.randint(4, 8)
    expression = f"!has(features.l0) || features.l0.all(x, x <= {most})"
    return expression, {"l0"}, lambda view: all(x <= most for x in _listed(view, ()))


def _some_element(chance: Random) -> Drawn:
    least = chance.randint(0, 3)
    expression = f"features.l0.exists(x, x > {least})"
    return expression, {"l0"}, lambda view: any(x > least for x in _listed(view))


def _size_of_all(chance: Random) -> Drawn:
    most = chance.randint(6, 10)
    return f"features.size() <= {most}", set(), lambda view: len(view.features) <= most


def _size_of_change(chance: Random) -> Drawn:
    most = chance.randint(4, 8)
    return f"changed.size() <= {most}", set(), lambda view: len(view.changed) <= most


def _begins(chance: Random) -> Drawn:
    def holds(view: View) -> bool:
        return "s0" not in view.features or bool(re.search("^[abc]", view.features["s0"]))

    return '!has(features.s0) || features.s0.matches("^[abc]")', {"s0"}, holds


def _of_one_entity(chance: Random) -> Drawn:
    most = chance.randint(3, 8)

    def holds(view: View) -> bool:
        return view.entity_id != "e-0" or bool(view.features["n0"] <= most)

    return f'entity_id != "e-0" || features.n0 <= {most}', {"n0"}, holds


def _of_time(chance: Random) -> Drawn:
    def holds(view: View) -> bool:
        if "t0" not in view.features:
            return view.now > _LONG_AGO
        time = view.features["t0"]
        return isinstance(time, Moment) and view.now > max(time, _LONG_AGO)

    past = 'now > timestamp("2020-01-01T00:00:00Z")'
    return f"{past} && (!has(features.t0) || features.t0 < now)", {"t0"}, holds


def _division(chance: Random) -> Drawn:
    name = chance.choice(COUNTS)

    def holds(view: View) -> bool:
        return bool(10 // _whole(view.features[name]) >= 1)

    return f"10 / features.{name} >= 1", {name}, holds


def _parity(chance: Random) -> Drawn:
    name = chance.choice(COUNTS)

    def holds(view: View) -> bool:
        return _whole(view.features[name]) % 3 != 2

    return f"features.{name} % 3 != 2", {name}, holds


def _either(chance: Random) -> Drawn:
    """In CEL an error beside what is true does not matter, on either side."""

    def holds(view: View) -> bool:
        return view.features.get("b0") is True or bool(view.features["n0"] > 0)

    return "features.n0 > 0 || features.b0", {"n0", "b0"}, holds


def _listed(view: View, *missing: tuple[int, ...]) -> tuple[int, ...]:
    """The list `l0`, or what stands for it where it is missing."""
    content = view.features.get("l0", *missing) if missing else view.features["l0"]
    if not isinstance(content, tuple):
        raise TypeError
    return content


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        raise TypeError
    return True


def _whole(content: Any) -> int:
    if type(content) is not int:
        raise TypeError
    return content


_TEMPLATES: Final[tuple[Callable[[Random], Drawn], ...]] = (
    _nested,
    _sum,
    _guarded,
    _together,
    _closed,
    _rising,
    _each_element,
    _some_element,
    _size_of_all,
    _size_of_change,
    _begins,
    _of_one_entity,
    _of_time,
    _division,
    _parity,
    _either,
)
