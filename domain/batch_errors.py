"""What is wrong with a batch, said of the updates that are to blame."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from domain.entity_key import EntityKey, key_violations
from domain.errors import (
    AggregateExists,
    FeatomError,
    FieldViolation,
    InvalidValue,
    LateValue,
    RuleViolated,
    RuleViolation,
    StaleEtag,
)


def batch_error(errors: Mapping[int, FeatomError], keys: Sequence[EntityKey]) -> FeatomError:
    """One error for those of some updates, by their place in the batch; there is at least one.

    `keys` are those of all updates: whatever is said names the entity.

    As with a single update, what is invalid comes first, then a condition that does not hold (an
    etag, or that there is no aggregate), then what is broken and what is late. Of each sort
    everything is named, whichever update it is in, but of conditions and of limits the first.
    """
    if invalid := _invalid(errors, keys):
        return InvalidValue(invalid)
    for place, error in errors.items():
        if isinstance(error, StaleEtag | AggregateExists):
            return _placed(place, error, keys)
    if broken := _broken(errors, keys):
        if any(isinstance(error, RuleViolated) for error in errors.values()):
            return RuleViolated(broken)
        return LateValue([violation.subject for violation in broken])
    place, error = next(iter(errors.items()))
    return _placed(place, error, keys)


def placed(
    violations: Iterable[FieldViolation], place: int, key: EntityKey
) -> Iterator[FieldViolation]:
    """What is wrong with an update, as part of its batch; with its entity, if that can be one."""
    entity = "" if key_violations(key) else f"{key}: "
    for field, description in violations:
        yield FieldViolation(f"updates[{place}].{field}", f"{entity}{description}")


def _invalid(errors: Mapping[int, FeatomError], keys: Sequence[EntityKey]) -> list[FieldViolation]:
    return [
        violation
        for place, error in errors.items()
        if isinstance(error, InvalidValue)
        for violation in placed(error.violations, place, keys[place])
    ]


def _broken(errors: Mapping[int, FeatomError], keys: Sequence[EntityKey]) -> list[RuleViolation]:
    return [
        RuleViolation(
            sort, f"updates[{place}].{subject}", f"{keys[place]}: {subject}: {description}"
        )
        for place, error in errors.items()
        if isinstance(error, RuleViolated | LateValue)
        for sort, subject, description in error.violations
    ]


def _placed(place: int, error: FeatomError, keys: Sequence[EntityKey]) -> FeatomError:
    error.place = f"updates[{place}], {keys[place]}"
    return error
