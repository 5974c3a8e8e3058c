"""Gathering everything that is wrong with a request, to say it all at once."""

from domain.errors import FieldViolation, InvalidValue


class Violations(list[FieldViolation]):
    """What was found to be wrong so far."""

    def note(self, field: str, description: str | None) -> None:
        """Keep a problem, if there is one."""
        if description is not None:
            self.append(FieldViolation(field, description))

    def raise_if_any(self) -> None:
        if self:
            raise InvalidValue(self)
