"""One aggregate of a batch as a row of the database: what was read of it, and what is written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from application.working_copy import WorkingCopy
from domain.entity_key import EntityKey

_UNKNOWN: Final = 0
"""No transaction has this number."""


class StoredRow(Struct, frozen=True, gc=False):
    """What tells whether a row is still the one that was read."""

    xmin: int
    version: int


class Row(WorkingCopy, eq=False, kw_only=True):
    """A working copy, and the row that it is of."""

    number: int
    """Its place in the order of the keys."""
    read: StoredRow | None
    """None if there was no row."""
    unit: int
    """Rows of one unit are written together or not at all; see `unite`."""
    type_revision: int = 0
    """The revision of the entity type that `policy` is of."""
    type_is_new: bool = False
    """Whether the entity type has no row yet that a write could lock."""
    is_inherited: bool = False
    """Whether a batch ahead left it, and it was not read."""
    unseen: bool = False
    """Whether nothing that was read says that the row is there."""

    @property
    def keyframe(self) -> bytes | None:
        """What is stored of the aggregate, if the history gets the same."""
        advancing = (each for each in reversed(self.changes) if each.change.advances)
        last = next(advancing, None)
        return None if last is None else last.state

    @property
    def after(self) -> StoredRow | None:
        """The row as it will be, by whom is not known yet. None: there will be none."""
        if not self.writes:
            return self.read
        aggregate = self.aggregate
        return StoredRow(_UNKNOWN, aggregate.version) if aggregate.exists else None

    def behind(self, number: int) -> "Row":
        """The row for a batch right behind this one, with an aggregate of its own.

        A message keeps the memory of all that it ever held, so one may not go from batch to batch.
        """
        read, read_again = self.after, self.aggregate.copy
        return Row(
            number=number,
            unit=number,
            key=self.key,
            read=read,
            existed=read is not None,
            aggregate=read_again(),
            limits=self.limits,
            type_revision=self.type_revision,
            policy=self.policy,
            read_again=read_again,
            is_inherited=True,
        )


def unite(rows: Mapping[EntityKey, Row], groups: Iterable[Sequence[EntityKey]]) -> None:
    """Make one unit of the rows of each group, and of groups that share a row (union-find after
    Galler and Fischer, 1964).
    """
    leaders = {row.number: row.number for row in rows.values()}

    def leader(number: int) -> int:
        while leaders[number] != number:
            leaders[number] = number = leaders[leaders[number]]
        return number

    for first, *others in groups:
        for other in others:
            leaders[leader(rows[other].number)] = leader(rows[first].number)
    for row in rows.values():
        row.unit = leader(row.number)


def involved(rows: Mapping[EntityKey, Row]) -> list[Row]:
    """The rows that a write is about, in the order of their keys.

    Where something of a unit is written, its other rows must still be as they were read: a command
    was judged by all of them. So must a row that nobody has seen, whatever is written.
    """
    about = [row for row in rows.values() if row.records or row.unseen]
    if all(row.unit == row.number for row in rows.values()):
        return about
    units = {row.unit for row in about}
    # Of what one ahead leaves and what was read nothing says that it stood together ever.
    units |= {row.unit for row in rows.values() if row.is_inherited} & {
        row.unit for row in rows.values() if not row.is_inherited
    }
    return [row for row in rows.values() if row.unit in units]
