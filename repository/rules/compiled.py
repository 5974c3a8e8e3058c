"""Compiled rules, asked about one update after the other.

The rules that an update may break are first asked as one expression, since most of the price of an
evaluation is the way into the runtime. Only when that is not true each is asked by itself. What all
rules of an update may take together is bounded (the module cost).
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from cel_expr_python import cel

from domain.entity_type import Rule
from domain.errors import RuleViolation
from domain.limits import MAX_RULES_COST
from domain.transition import Transition
from repository.rules.cost import SMALL, Sizes, cost_of
from repository.rules.reading import Sample
from repository.rules.values import facts_of

_MAX_REASON: Final = 300
_MAX_JOINED: Final = 256
"""Sets of rules that are kept as one expression."""
_MAX_LENGTH: Final = 2_000
"""Characters of one expression: to compile it takes about ten microseconds for each."""


class CompiledRule(NamedTuple):
    """One rule and its program."""

    rule: Rule
    program: cel.Expression
    reading: Sample
    regexes_weight: int
    """What its regular expressions cost each time: about so many microseconds."""

    @property
    def may_take_long(self) -> bool:
        """Whether it may take long for values that are not very large."""
        reading = self.reading
        return bool(
            reading.has_macros or reading.has_sums or reading.has_searches or reading.regexes
        )

    def cost(self, sizes: Sizes) -> float:
        """About the microseconds that it takes for values of these sizes."""
        return cost_of(self.reading, self.regexes_weight, sizes)


class JoinedRules(NamedTuple):
    """Some rules as one expression, which is true where all of them are."""

    rule: CompiledRule
    parts: Sequence[CompiledRule]
    slow: Sequence[CompiledRule]
    """Those parts that may take long for values that are not very large."""

    def is_cheap(self, transition: Transition, sizes: Sizes) -> bool:
        """Whether it may be asked at once about these values."""
        parts = self.slow if transition.size <= SMALL else self.parts
        return not parts or sum(each.cost(sizes) for each in parts) <= MAX_RULES_COST


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
        self._joined: dict[int, JoinedRules | None] = {}
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
        sizes = Sizes(transition)
        together = self._together(asked)
        is_cheap = together is not None and together.is_cheap(transition, sizes)
        if together is not None and is_cheap and _problem(together.rule, transition) is None:
            return ()
        return self._broken_one_by_one(asked, transition, sizes)

    def _broken_one_by_one(
        self, asked: int, transition: Transition, sizes: Sizes
    ) -> list[RuleViolation]:
        """What has no room beside the rules before it is not asked, and so does not hold."""
        found: list[RuleViolation] = []
        spent = 0.0
        for rule in self._these(asked):
            cost = rule.cost(sizes)
            if spent + cost > MAX_RULES_COST:
                problem: str | None = too_long(cost, spent)
            else:
                spent += cost
                problem = _problem(rule, transition)
            if problem is not None:
                found.append(RuleViolation("RULE", rule.rule.name, f"{rule.rule.message}{problem}"))
        return found

    def _these(self, asked: int) -> list[CompiledRule]:
        return [each for number, each in enumerate(self._rules) if asked >> number & 1]

    def _concerned(self, changed: Collection[str]) -> int:
        """The rules that a change of some features may break, a bit each."""
        asked = self._always
        for name in changed:
            asked |= self._by_feature.get(name, 0)
        return asked

    def _together(self, asked: int) -> JoinedRules | None:
        """Some rules as one expression; None: ask each by itself."""
        if asked not in self._joined:
            if len(self._joined) >= _MAX_JOINED and asked != self._all:
                return self._together(self._all)
            rules = self._these(asked)
            length = sum(len(each.rule.expression) for each in rules)
            joined = self._join(rules) if length <= _MAX_LENGTH or len(rules) == 1 else None
            slow = [each for each in rules if each.may_take_long]
            self._joined[asked] = None if joined is None else JoinedRules(joined, rules, slow)
        return self._joined[asked]


def _depends_on(reading: Sample, expiring: Collection[str]) -> frozenset[str] | None:
    """The features whose change alone can break what held before; None: anything can."""
    if reading.features is None or not reading.features.isdisjoint(expiring):
        return None
    if reading.variables & {"previous", "changed", "now"}:
        return None
    return reading.features


def _problem(rule: CompiledRule, transition: Transition) -> str | None:
    """Why a rule does not hold: what to add to its message. None: it holds."""
    try:
        value = rule.program.eval(data=facts_of(transition, rule.reading))
    except RuntimeError as error:
        return _reason(str(error))
    # An error is a value too, and one that counts as true.
    result = value.value()
    if result is True:
        return None
    return "" if result is False else _reason(str(result))


def _reason(error: str) -> str:
    return f" (it cannot be evaluated: {error[:_MAX_REASON]})"


def too_long(cost: float, spent: float) -> str:
    """Why a rule of such a cost is not asked, after others that took so much."""
    rules = f", and the rules before it {_milliseconds(spent)}" if spent else ""
    return (
        f" (for values of this size it would take {_milliseconds(cost)} to evaluate{rules}:"
        f" more than {_milliseconds(MAX_RULES_COST)} an update)"
    )


def _milliseconds(cost: float) -> str:
    return f"{cost / 1_000:,.0f} ms"
