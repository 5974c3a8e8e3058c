"""What is wrong with a batch, said of the updates that are to blame."""

from collections.abc import Mapping

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


def batch_error(errors: Mapping[int, FeatomError]) -> FeatomError:
    """One error for those of some updates, by their place in the batch; there is at least one.

    As with a single update, what is invalid comes first, then a condition that does not hold (an
    etag, or that there is no aggregate), then what is broken and what is late. Of each sort
    everything is named, whichever update it is in, but of conditions and of limits the first.
    """
    if invalid := _invalid(errors):
        return InvalidValue(invalid)
    for place, error in errors.items():
        if isinstance(error, StaleEtag | AggregateExists):
            return _placed(place, error)
    if broken := _broken(errors):
        if any(isinstance(error, RuleViolated) for error in errors.values()):
            return RuleViolated(broken)
        return LateValue([violation.subject for violation in broken])
    return _placed(*next(iter(errors.items())))


def _invalid(errors: Mapping[int, FeatomError]) -> list[FieldViolation]:
    return [
        FieldViolation(f"updates[{place}].{field}", description)
        for place, error in errors.items()
        if isinstance(error, InvalidValue)
        for field, description in error.violations
    ]


def _broken(errors: Mapping[int, FeatomError]) -> list[RuleViolation]:
    return [
        RuleViolation(sort, f"updates[{place}].{subject}", description)
        for place, error in errors.items()
        if isinstance(error, RuleViolated | LateValue)
        for sort, subject, description in error.violations
    ]


def _placed(place: int, error: FeatomError) -> FeatomError:
    error.place = f"updates[{place}]"
    return error
