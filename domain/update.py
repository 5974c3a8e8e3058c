"""What callers ask for: to update one aggregate, or several together, or to delete one."""

import re
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Final, TypeAlias
from uuid import UUID

from msgspec import Struct

from domain.entity_key import EntityKey
from domain.errors import FieldViolation
from domain.etag import Etag
from domain.limits import LONGEST_NAME
from domain.operations import Append, Operation
from domain.timestamp import Timestamp, timestamp_problem
from domain.value_text import short_text
from domain.values import NON_FINITE_HINT, value_problem

FEATURE_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_.:-]{{0,{LONGEST_NAME - 1}}}")


class FeatureUpdate(Struct, frozen=True, gc=False):
    """One operation on one feature."""

    name: str
    operation: Operation | None
    """None if the edge could not read it; `Update.malformed` then says why."""
    event_time: Timestamp | None = None


class Update(Struct, frozen=True, gc=False, kw_only=True):
    """Changes to one aggregate that are made together or not at all."""

    key: EntityKey
    updates: tuple[FeatureUpdate, ...]
    etag: Etag | None = None
    """Apply only to exactly this version."""
    must_be_absent: bool = False
    """Apply only if there is no aggregate. With an etag that is never so."""
    request_id: UUID | None = None
    """Apply once, however often this id comes."""
    fingerprint: bytes = b""
    """A digest of everything asked for: one request id stands for one of them."""
    event_time: Timestamp | None = None
    """For each feature update without its own; None: the commit time."""
    validate_only: bool = False
    return_aggregate: bool = False
    malformed: tuple[FieldViolation, ...] = ()
    """What the edge could not read, to be reported with everything else that is wrong."""
    actor: str = ""


class Deletion(Struct, frozen=True, gc=False, kw_only=True):
    """The end of one aggregate."""

    key: EntityKey
    etag: Etag | None = None
    request_id: UUID | None = None
    fingerprint: bytes = b""
    erase_history: bool = False
    """Erase all that is left of the entity, requests too, also if it was deleted before."""
    actor: str = ""


class UpdateBatch(Struct, frozen=True, gc=False, kw_only=True):
    """Updates of many aggregates that are made together or not at all, in the order given."""

    updates: tuple[Update, ...]
    """None of them has a request id of its own, or is to be validated only."""
    request_id: UUID | None = None
    fingerprint: bytes = b""


Command: TypeAlias = Update | Deletion | UpdateBatch


def keys_of(command: Command) -> tuple[EntityKey, ...]:
    """The aggregates that a command is about, each once, in the order in which it names them."""
    if isinstance(command, UpdateBatch):
        return tuple(dict.fromkeys(update.key for update in command.updates))
    return (command.key,)


def update_violations(
    update: Update, non_finite: Container[str] = frozenset()
) -> list[FieldViolation]:
    """Everything that is wrong with an update, whatever is stored, with the name of the feature.

    `non_finite` are the features that may be NaN or infinite.
    """
    violations = list(update.malformed)
    if not update.updates:
        violations.append(FieldViolation("updates", "must not be empty"))
    if problem := _event_time_problem(update.event_time):
        violations.append(FieldViolation("event_time", problem))
    seen: set[str] = set()
    for index, item in enumerate(update.updates):
        if item.name in seen or not _is_plainly_sound(item, item.name in non_finite):
            problems = _item_problems(item, item.name in non_finite, again=item.name in seen)
            violations += (
                FieldViolation(f"updates[{index}].{part}", of_feature(item.name, problem))
                for part, problem in problems
            )
        seen.add(item.name)
    return violations


def of_feature(name: str, problem: str) -> str:
    """What is wrong with an update of a feature, with its name, if that can be one."""
    return problem if feature_name_problem(name) else f"{name} {problem}"


def feature_name_problem(name: str) -> str | None:
    """What is wrong with the name of a feature, or None."""
    if len(name) <= LONGEST_NAME and _is_feature_name(name):
        return None
    return f"must match {FEATURE_NAME.pattern}, is {short_text(name)}"


def _is_plainly_sound(item: FeatureUpdate, non_finite: bool) -> bool:
    """Whether nothing is wrong; False says no more than that it must be looked at closely.

    Most have nothing wrong, and this is much quicker than the list of what is.
    """
    operation, event_time = item.operation, item.event_time
    if event_time is not None and timestamp_problem(event_time):
        return False
    if len(item.name) > LONGEST_NAME or not _is_feature_name(item.name):
        return False
    if operation is None or operation.value is None:
        return True
    return type(operation) is not Append and not value_problem(
        operation.value, non_finite=non_finite
    )


# The same names come again and again. Callers can make up names as long as a message: so none is
# asked about that is too long, as what is remembered stays in memory.
@lru_cache(maxsize=16_384)
def _is_feature_name(name: str) -> bool:
    return FEATURE_NAME.fullmatch(name) is not None


def _item_problems(
    item: FeatureUpdate, non_finite: bool, *, again: bool
) -> Iterator[tuple[str, str]]:
    if problem := feature_name_problem(item.name):
        yield "name", problem
    if problem := _event_time_problem(item.event_time):
        yield "event_time", problem
    operation = item.operation
    if operation is not None and operation.value is not None:
        problem = value_problem(operation.value, non_finite=non_finite)
        if problem:
            allowable = value_problem(operation.value, non_finite=True) is None
            yield operation.field, problem + NON_FINITE_HINT * allowable
    if isinstance(operation, Append) and operation.max_length < 0:
        yield "append.max_length", "must not be negative"
    if again:
        yield "name", "is named more than once in this request"


def _event_time_problem(event_time: Timestamp | None) -> str | None:
    return None if event_time is None else timestamp_problem(event_time)
