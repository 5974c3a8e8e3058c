"""Rules between features, as the domain needs them; their language is not its concern."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from domain.constraints import TextPattern
from domain.entity_type import EntityType, Rule
from domain.errors import RuleViolation
from domain.transition import Transition


class CompiledRules(Protocol):
    """The rules of one revision of an entity type, ready to be asked."""

    def broken(self, transition: Transition, *, recheck: bool) -> Sequence[RuleViolation]:
        """Every rule that does not hold after the transition, in the order of the type.

        A rule that cannot be evaluated does not hold. Must not raise, must end within milliseconds
        whatever the values are, and must depend on nothing but the transition.
        Unless `recheck`, all rules held before, so one may be left out that cannot have changed.
        """


class RuleCompiler(Protocol):
    """Makes rules and patterns ready to be asked."""

    def rule_problems(
        self, rules: Sequence[Rule], declared: EntityType
    ) -> Iterator[tuple[int, str]]:
        """What is wrong with which rule, with the position in its expression.

        Must find every rule that cannot be compiled or that could take too long.
        """

    def pattern_weight(self, pattern: str) -> int:
        """What a pattern costs each time, however short the text: about so many microseconds.

        Must take linear time, whatever the pattern is.
        """

    def pattern_problem(self, pattern: str) -> str | None:
        """What is wrong with a pattern, or None. Must find every one that takes long."""

    def compile_rules(self, rules: Sequence[Rule], expiring: Collection[str]) -> CompiledRules:
        """Compile rules without problems; the values of `expiring` features change with time."""

    def compile_pattern(self, pattern: str) -> TextPattern:
        """Compile a pattern without a problem."""


class NoRules:
    """Implements CompiledRules for an entity type without any."""

    def broken(self, transition: Transition, *, recheck: bool) -> Sequence[RuleViolation]:
        return ()
