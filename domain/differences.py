"""What a new definition of an entity type changes, and whether stored aggregates could break it."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import fields

from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.value_text import duration_text, value_text
from domain.values import FeatureValue, ValueKind


class Difference(NamedTuple):
    """One thing that changes."""

    path: str
    before: str
    """For people; empty if there was nothing."""
    after: str
    compatible: bool
    """No aggregate that was valid before can break this."""


def differences(old: EntityType | None, new: EntityType) -> list[Difference]:
    """Everything that `new` changes; compared with nothing if there is no `old`."""
    before = old or EntityType(name=new.name)
    found = [*_feature_differences(before, new), *_rule_differences(before, new)]
    if before.additional_features is not new.additional_features:
        compatible = new.additional_features is AdditionalFeatures.ALLOW
        texts = before.additional_features.name, new.additional_features.name
        found.append(Difference("additional_features", *texts, compatible))
    if old is None and not found:
        found.append(Difference("name", "", new.name, compatible=True))
    return found


def _feature_differences(old: EntityType, new: EntityType) -> Iterator[Difference]:
    for name in sorted(old.features.keys() | new.features.keys()):
        path = f"features.{name}"
        before, after = old.features.get(name), new.features.get(name)
        if before is None and after is not None:
            # Under ALLOW aggregates may have a feature of that name already, of any kind.
            closed = old.additional_features is AdditionalFeatures.REJECT
            optional = not after.required and after.default_value is None
            yield Difference(path, "", _spec_text(after), closed and optional)
        elif after is None and before is not None:
            open_now = new.additional_features is AdditionalFeatures.ALLOW
            yield Difference(path, _spec_text(before), "", open_now)
        elif before is not None and after is not None:
            yield from _spec_differences(path, before, after)


def _spec_differences(path: str, before: FeatureSpec, after: FeatureSpec) -> Iterator[Difference]:
    for field in fields(FeatureSpec):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new:
            name = "type" if field.name == "kind" else field.name
            compatible = _WIDENS[field.name](old, new)
            texts = _field_text(name, old), _field_text(name, new)
            yield Difference(f"{path}.{name}", *texts, compatible)


def _rule_differences(old: EntityType, new: EntityType) -> Iterator[Difference]:
    before = {rule.name: rule for rule in old.rules}
    after = {rule.name: rule for rule in new.rules}
    for name in sorted(before.keys() | after.keys()):
        was, is_now = before.get(name), after.get(name)
        if was == is_now:
            continue
        same_test = is_now is None or (was is not None and was.expression == is_now.expression)
        yield Difference(f"rules.{name}", _rule_text(was), _rule_text(is_now), same_test)
    if not before.keys() ^ after.keys() and old.rules != new.rules and before == after:
        yield Difference("rules", ", ".join(before), ", ".join(after), compatible=True)


def _always(old: Any, new: Any) -> bool:
    return True


def _never(old: Any, new: Any) -> bool:
    return False


def _lower_or_none(old: FeatureValue | None, new: FeatureValue | None) -> bool:
    return new is None or (old is not None and old.kind is new.kind and new.content <= old.content)


def _higher_or_none(old: FeatureValue | None, new: FeatureValue | None) -> bool:
    return new is None or (old is not None and old.kind is new.kind and new.content >= old.content)


def _longer_or_none(old: int, new: int) -> bool:
    return new == 0 or 0 < old <= new


_WIDENS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "kind": _never,
    "required": lambda old, new: not new,
    "default_value": _never,
    "minimum": _lower_or_none,
    "maximum": _higher_or_none,
    "allowed_values": lambda old, new: not new or (bool(old) and set(old) <= set(new)),
    "max_length": _longer_or_none,
    "pattern": lambda old, new: not new,
    "dimension": lambda old, new: not new,
    "allow_non_finite": lambda old, new: bool(new),
    "late_policy": _always,
    "ttl": _never,
    "description": _always,
}
"""Whether a new constraint takes all that the old one took.

A ttl decides what rules see, and a default what they see of an aggregate that lacks it.
"""


def _field_text(name: str, value: Any) -> str:
    return duration_text(value) if name == "ttl" and value else _text(value)


def _text(value: Any) -> str:
    match value:
        case None | "" | 0 | () | False:
            return ""
        case FeatureValue():
            return value_text(value)
        case ValueKind() | LatePolicy():
            return value.name
        case tuple():
            return ", ".join(map(_text, value))
        case _:
            return str(value)


def _spec_text(spec: FeatureSpec) -> str:
    said = ((field.name, getattr(spec, field.name)) for field in fields(FeatureSpec)[1:])
    parts = [spec.kind.name]
    parts += [
        f"{name}: {_field_text(name, value)}"
        for name, value in said
        if _text(value) and value is not LatePolicy.KEEP_NEWEST
    ]
    return ", ".join(parts)


def _rule_text(rule: Rule | None) -> str:
    return "" if rule is None else f"{rule.expression} ({rule.message})"
