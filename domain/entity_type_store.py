"""What the server needs of the storage of entity types. Implementations pass tests/conformance."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from domain.entity_type import EntityType
from domain.feature import Feature
from domain.timestamp import Timestamp


class ScannedAggregate(NamedTuple):
    """A stored aggregate, to be checked."""

    entity_id: str
    features: Mapping[str, Feature]


class ScannedPage(NamedTuple):
    """Some of the aggregates of a type, ordered by id."""

    aggregates: Sequence[ScannedAggregate]
    more: bool
    """Whether there are others after them."""


class CurrentType(NamedTuple):
    """What is stored under a name."""

    revision: int
    """0 if the name was never applied."""
    definition: EntityType | None
    """None if there is no entity type of this name now."""


class ListedTypes(NamedTuple):
    """Some of the entity types, ordered by name."""

    types: Sequence[EntityType]
    more: bool
    """Whether there are others after them."""


Guard: TypeAlias = Callable[[Sequence[ScannedAggregate]], Awaitable[None]]
"""Raises if one of some aggregates must not be there."""

Mark: TypeAlias = object
"""A point in the order of all commits, of one implementation's own making."""


class MarkExpired(Exception):
    """What was written since a mark can no longer be told: the database has failed over since."""


class EntityTypeStore(Protocol):
    """Where entity types are kept, with all their revisions.

    Whatever is returned, and whatever an EntityTypeInUse or the error of a guard is raised for,
    must be durable, but for `count`. Every method must raise Unavailable when the database cannot
    be reached, or that cannot be said; and Corrupted if what is stored cannot be read.
    """

    async def current(self, name: str) -> CurrentType:
        """Read what is current. Must see every change that was acknowledged."""

    async def revision(self, name: str, revision: int) -> EntityType | None:
        """Read one revision; None if there is none, or if it was the deletion."""

    async def list_types(self, after: str, limit: int, max_bytes: int) -> ListedTypes:
        """Read the first entity types with names after `after`, ordered by name.

        Up to `limit` (more than 0), and no more than have `max_bytes` of stored definition in all;
        but one in any case, if there is one.
        Must not read what it does not return into memory.
        """

    async def replace(
        self, read: CurrentType, definition: EntityType, guard: Guard | None, since: Mark
    ) -> EntityType | None:
        """Make a definition the next revision; None if `read` is no longer current.

        From when it returns, no update may commit that was not checked against it, on any server.
        Must hand to `guard` every aggregate of the type that was written after `since`, until the
        moment from which updates are checked against the definition, and must change nothing if it
        raises. Writers of other types must not wait meanwhile, and those of this type not for long:
        must raise Contended, and change nothing, if they do not let it in soon, or if more was
        written since than may be checked while they wait. Must raise MarkExpired where it applies.
        """

    async def delete(self, name: str, read: CurrentType, *, force: bool) -> bool:
        """Make the deletion the next revision; False if `read` is no longer current.

        As with `replace`, no update may commit afterwards that was checked against what is deleted.
        Must raise EntityTypeInUse while there is an aggregate of the type, unless `force`; and
        Contended as `replace`.
        """

    async def now(self) -> Timestamp:
        """The store's clock."""

    async def mark(self) -> Mark:
        """The point up to which everything is committed that is committed now."""

    async def scan(self, name: str, after: str, limit: int) -> ScannedPage:
        """Read the first aggregates of a type with ids after `after`, ordered by id.

        Up to `limit` (more than 0), and no more than a bounded number of bytes; but one in any
        case, if there is one. What is returned was current when this was called, or later.
        """

    def written_since(
        self, name: str, since: Mark
    ) -> AsyncGenerator[Sequence[ScannedAggregate], None]:
        """Read the aggregates of a type that were written after a mark, page by page.

        Must give each one that was committed between `since` and this call, as it is now, unless it
        was deleted; some may come more than once. Pages are bounded like those of `scan`.
        Must raise MarkExpired if it cannot tell.
        """

    async def count(self, name: str) -> int:
        """How many aggregates of a type there are, exactly if they are few.

        Must not take longer the more there are.
        """
