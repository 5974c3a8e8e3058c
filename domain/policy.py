"""What one revision of an entity type asks of every update, ready to be asked."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from domain.constraints import ConstraintCheck
from domain.entity_type import AdditionalFeatures, EntityType
from domain.errors import RuleViolation
from domain.feature import Feature
from domain.limits import MAX_PATTERNS_COST
from domain.operations import as_list
from domain.plan import Plan
from domain.rules import CompiledRules, NoRules, RuleCompiler
from domain.timestamp import EARLIEST, Timestamp
from domain.transition import Transition

_NO_RULES: Final = NoRules()
_TOO_MANY_TEXTS: Final = "has so many texts that to match them would take too long"


class Policy:
    """An entity type, compiled. It is shared by all aggregates of its type and never changes."""

    def __init__(self, definition: EntityType, compiler: RuleCompiler) -> None:
        """`definition` must have no violations."""
        self.definition = definition
        self.revision = definition.revision
        self.specs = definition.features
        self.defaults = {
            name: spec.default_value
            for name, spec in self.specs.items()
            if spec.default_value is not None
        }
        self.expiring = definition.expiring
        self.non_finite = frozenset(
            name for name, spec in self.specs.items() if spec.allow_non_finite
        )
        self._required = [name for name, spec in self.specs.items() if spec.required]
        self._closed = definition.additional_features is AdditionalFeatures.REJECT
        self._checks = {
            name: ConstraintCheck(
                name,
                spec,
                compiler.compile_pattern(spec.pattern) if spec.pattern else None,
                compiler.pattern_weight(spec.pattern) if spec.pattern else 0,
            )
            for name, spec in self.specs.items()
        }
        self._rules: CompiledRules = (
            compiler.compile_rules(definition.rules, self.expiring)
            if definition.rules
            else _NO_RULES
        )

    def violations(
        self,
        entity_id: str,
        before: Mapping[str, Feature],
        plan: Plan,
        *,
        size: int,
        recheck: bool,
    ) -> list[RuleViolation]:
        """Everything that the aggregate would break after `plan`.

        `size` is how many bytes there are of it at most, before or after.
        `recheck`: `before` was not checked against this revision, so nothing of it is trusted.
        """
        found = self._constraint_violations(plan.changed)
        if plan.late:
            found += self._constraint_violations(_late(plan))
        if not plan.advances:
            return found
        if recheck:
            found += self._constraint_violations(_untouched(before, plan))
        if recheck or plan.removed:
            found += self._missing(before, plan.changed, plan.removed)
        transition = Transition(
            entity_id, before, plan.commit_time, plan.changed, plan.removed, self.expiring, size
        )
        found += self._rules.broken(transition, recheck=recheck)
        return found

    def state_violations(
        self, entity_id: str, features: Mapping[str, Feature], now: Timestamp
    ) -> list[RuleViolation]:
        """Everything that a stored aggregate breaks once it has got the defaults that it lacks."""
        given = {
            name: Feature(value, EARLIEST, 0)
            for name, value in self.defaults.items()
            if name not in features
        }
        transition = Transition(entity_id, features, now, given, (), self.expiring)
        return [
            *self._constraint_violations(features),
            *self._missing(features, given, ()),
            *self._rules.broken(transition, recheck=True),
        ]

    def _constraint_violations(self, features: Mapping[str, Feature]) -> list[RuleViolation]:
        found: list[RuleViolation] = []
        room = MAX_PATTERNS_COST
        for name, feature in features.items():
            check = self._checks.get(name)
            if check is not None:
                value = feature.value
                if value is not None:
                    if check.has_pattern and (room := room - check.pattern_cost(value)) < 0:
                        found.append(RuleViolation("PATTERN", name, _TOO_MANY_TEXTS))
                        continue
                    found += check.violations(value)
            elif self._closed and feature.value is not None:
                description = "is not a feature of this entity type, which takes no others"
                found.append(RuleViolation("ADDITIONAL_FEATURE", name, description))
        return found

    def _missing(
        self, before: Mapping[str, object], added: Mapping[str, object], removed: Sequence[str]
    ) -> list[RuleViolation]:
        return [
            RuleViolation("REQUIRED", name, "must be there")
            for name in self._required
            if name in removed or (name not in added and name not in before)
        ]


def _late(plan: Plan) -> Mapping[str, Feature]:
    """Late values as values of their features: what came to be appended is a list."""
    found = dict(plan.late)
    for name in plan.late_appends:
        appended = plan.late[name]
        assert appended.value is not None
        found[name] = replace(appended, value=as_list(appended.value))
    return found


def _untouched(before: Mapping[str, Feature], plan: Plan) -> dict[str, Feature]:
    return {
        name: feature
        for name, feature in before.items()
        if name not in plan.changed and name not in plan.removed
    }
