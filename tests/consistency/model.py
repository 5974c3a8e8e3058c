"""What an update does to features, said a second time, without a line of the product."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.consistency.features import Content, Fact, Facts
from tests.consistency.operations import Step

_COMMUTING: Final = frozenset({"increment", "maximum"})


class Effect(NamedTuple):
    """What steps change."""

    changed: Facts
    removed: frozenset[str]
    late: Facts


def effect(steps: Sequence[Step], features: Facts, version: int, commit_time: int) -> Effect:
    """What `steps` do to the features of `version` when they are committed."""
    changed: Facts = {}
    removed = set()
    late: Facts = {}
    for step in steps:
        current = features.get(step.feature)
        event_time = commit_time if step.event_time is None else step.event_time
        if current is None:
            if step.verb != "remove":
                kind, value = _result(step, None)
                changed[step.feature] = Fact(kind, value, event_time, version + 1)
        elif step.verb not in _COMMUTING and event_time < current.event_time:
            late[step.feature] = Fact(*_literal(step), event_time, version)
        elif step.verb == "remove":
            removed.add(step.feature)
        else:
            kind, value = _result(step, current)
            event_time = max(event_time, current.event_time)
            if (value, event_time) != (current.value, current.event_time):
                changed[step.feature] = Fact(kind, value, event_time, version + 1)
    return Effect(changed, frozenset(removed), late)


def _literal(step: Step) -> tuple[str, Content | None]:
    if step.value is None:
        return "", None
    return "int64_value" if isinstance(step.value, int) else "string_value", step.value


def _result(step: Step, current: Fact | None) -> tuple[str, Content | None]:
    kind, value = _literal(step)
    before = current.value if current else None
    if step.verb == "append":
        assert isinstance(value, str)
        listed = (*before, value) if isinstance(before, tuple) else (value,)
        return "string_list", listed[-step.max_length :] if step.max_length else listed
    if isinstance(before, int) and isinstance(value, int):
        if step.verb == "increment":
            return kind, before + value
        if step.verb == "maximum":
            return kind, max(before, value)
    return kind, value
