"""What is wrong with a batch, said of the updates that are to blame."""

from collections.abc import Mapping

from domain.errors import (
    FeatomError,
    FieldViolation,
    InvalidValue,
    RuleViolated,
    RuleViolation,
)


def batch_error(errors: Mapping[int, FeatomError]) -> FeatomError:
    """One error for those of some updates, by their place in the batch; there is at least one.

    Violations of the same sort are gathered over all updates, what is invalid before what breaks a
    rule. Of other errors the first one stands for all.
    """
    invalid = [
        FieldViolation(f"updates[{index}].{violation.field}", violation.description)
        for index, error in errors.items()
        if isinstance(error, InvalidValue)
        for violation in error.violations
    ]
    if invalid:
        return InvalidValue(invalid)
    index, first = next(iter(errors.items()))
    if isinstance(first, RuleViolated):
        return RuleViolated(
            [
                RuleViolation(
                    violation.type, f"updates[{place}].{violation.subject}", violation.description
                )
                for place, error in errors.items()
                if isinstance(error, RuleViolated)
                for violation in error.violations
            ]
        )
    first.place = f"updates[{index}]"
    return first
