"""Compiled rules, asked about one update after the other.

The rules that an update may break are first asked as one expression, since most of the price of an
evaluation is the way into the runtime. Only when that is not true each is asked by itself.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cel_expr_python import cel

from domain.entity_type import Rule
from domain.errors import RuleViolation
from domain.transition import Transition
from repository.rules.reading import Reading
from repository.rules.values import facts_of

MAX_MACRO_COST: Final = 5_000_000
"""Elements that macros go through, times the size of what they read for each."""

MAX_REGEXES_COST: Final = 100_000
"""Elements that macros go through, times the weight of the regular expressions."""
MAX_SUM_COST: Final = 5_000_000
"""Bytes of all values that an expression reads, times how often it reads."""
MAX_SEARCH_COST: Final = 1_000_000_000
"""The same, times the bytes again."""

_MAX_REASON: Final = 300
_MAX_JOINED: Final = 256
"""Sets of rules that are kept as one expression."""


class CompiledRule(NamedTuple):
    """One rule and its program."""

    rule: Rule
    program: cel.Expression
    reading: Reading
    regexes_weight: int
    """What its regular expressions cost each time: about so many microseconds."""


class CelRules:
    """Implements CompiledRules of domain.rules."""

    def __init__(
        self,
        rules: Sequence[CompiledRule],
        join: Callable[[Sequence[CompiledRule]], CompiledRule | None],
        expiring: Collection[str],
    ) -> None:
        """`join` makes one expression that is true where all of some rules are, if it can."""
        self._rules = rules
        self._join = join
        self._joined: dict[int, CompiledRule | None] = {}
        self._all = (1 << len(rules)) - 1
        self._always = 0
        self._by_feature: dict[str, int] = {}
        for number, each in enumerate(rules):
            features = _depends_on(each.reading, expiring)
            if features is None:
                self._always |= 1 << number
            for name in features or ():
                self._by_feature[name] = self._by_feature.get(name, 0) | 1 << number

    def broken(self, transition: Transition, *, recheck: bool) -> Sequence[RuleViolation]:
        asked = self._all if recheck else self._concerned(transition.changed)
        if not asked:
            return ()
        together = self._together(asked)
        if together is not None and _problem(together, transition) is None:
            return ()
        return [
            RuleViolation("RULE", each.rule.name, f"{each.rule.message}{problem}")
            for number, each in enumerate(self._rules)
            if asked >> number & 1 and (problem := _problem(each, transition)) is not None
        ]

    def _concerned(self, changed: Collection[str]) -> int:
        """The rules that a change of some features may break, a bit each."""
        asked = self._always
        for name in changed:
            asked |= self._by_feature.get(name, 0)
        return asked

    def _together(self, asked: int) -> CompiledRule | None:
        """Some rules as one expression; None: ask each by itself."""
        if asked not in self._joined:
            if len(self._joined) >= _MAX_JOINED and asked != self._all:
                return self._together(self._all)
            rules = [each for number, each in enumerate(self._rules) if asked >> number & 1]
            self._joined[asked] = self._join(rules)
        return self._joined[asked]


def _depends_on(reading: Reading, expiring: Collection[str]) -> frozenset[str] | None:
    """The features whose change alone can break what held before; None: anything can."""
    if reading.features is None or not reading.features.isdisjoint(expiring):
        return None
    if reading.variables & {"previous", "changed", "now"}:
        return None
    return reading.features


def _problem(rule: CompiledRule, transition: Transition) -> str | None:
    """Why a rule does not hold: what to add to its message. None: it holds."""
    facts = facts_of(transition, rule.reading)
    if _takes_too_long(facts, rule):
        return " (it would take too long to evaluate for values of this size)"
    try:
        value = rule.program.eval(data=facts)
    except RuntimeError as error:
        return _reason(str(error))
    # An error is a value too, and one that counts as true.
    result = value.value()
    if result is True:
        return None
    return "" if result is False else _reason(str(result))


def _reason(error: str) -> str:
    return f" (it cannot be evaluated: {error[:_MAX_REASON]})"


def _takes_too_long(facts: Mapping[str, Any], rule: CompiledRule) -> bool:
    reading = rule.reading
    if not (reading.has_macros or reading.has_sums or reading.has_searches):
        return False
    features, previous = facts.get("features", {}), facts.get("previous", {})
    values = [*features.values(), *previous.values()]
    weights = list(map(_weight, values))
    size = sum(weights)
    times = 1
    if reading.has_macros:
        times = _elements(values)
        named = zip((*features, *previous), weights, strict=True)
        inner = reading.in_macros
        inside = size if inner is None else sum(weight for name, weight in named if name in inner)
        if times * inside > MAX_MACRO_COST or times * rule.regexes_weight > MAX_REGEXES_COST:
            return True
    if reading.has_sums and reading.reads * size > MAX_SUM_COST:
        return True
    return reading.has_searches and times * reading.reads * size * size > MAX_SEARCH_COST


def _elements(values: Iterable[Any]) -> int:
    return sum(len(value) if isinstance(value, list) else 1 for value in values)


def _weight(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_weight, value)) + 8
    return len(value) if isinstance(value, (str, bytes)) else 8
