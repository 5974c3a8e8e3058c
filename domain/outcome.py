"""How commands end when they succeed."""

from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from domain.etag import Etag
from domain.timestamp import Timestamp


class UpdateOutcome(Struct, frozen=True, gc=False):
    """An update that was applied, or found to change nothing."""

    uid: UUID
    epoch: int
    version: int
    """The version with the update in it; 0 if there is still no aggregate."""
    update_time: Timestamp
    stale_features: tuple[str, ...]
    """The features whose value came too late."""
    replayed: bool = False
    """The request id was known: this is how it ended the first time."""
    rehearsed: bool = False
    """The version was not made, and others may make it with other features: so it has no etag."""
    state: bytes | None = None
    """The aggregate as the update left it, as `StoredAggregate.state`, if it was asked for. In a
    replay the aggregate as it is now."""
    state_etag: Etag | None = None
    """The etag of `state`; None if that is no version."""

    @property
    def etag(self) -> Etag | None:
        """The etag of the version; None if there is no aggregate, or no such version yet."""
        if self.rehearsed or not self.version:
            return None
        return Etag(self.uid, self.epoch, self.version)


class DeletionOutcome(Struct, frozen=True, gc=False):
    """An aggregate that was deleted."""

    version: int
    """The version that the deletion made: the last one of its incarnation. Of an erasure that found
    no aggregate the version of the last change that was left; 0 if only request ids were."""
    delete_time: Timestamp
    replayed: bool = False


class BatchOutcome(Struct, frozen=True, gc=False):
    """Updates that were all applied together."""

    outcomes: tuple[UpdateOutcome, ...]
    """One for each update, in order."""
    replayed: bool = False


Outcome: TypeAlias = UpdateOutcome | DeletionOutcome | BatchOutcome
