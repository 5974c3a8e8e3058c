"""A command as an attempt to commit it sees it. Who waits for it is the pipeline's matter."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from domain.entity_key import EntityKey
from domain.errors import FeatomError
from domain.outcome import Outcome
from domain.update import Command


class InDoubtAttempt(NamedTuple):
    """A batch whose commit got no answer."""

    batch_id: UUID
    begun: datetime
    """The database's time before the batch; its changes are no older."""
    answer: Outcome | FeatomError
    """What the command is to be answered with, if the batch was committed."""


class PendingCommand(Protocol):
    """A command that has no answer yet, and what happened to it so far."""

    command: Command
    keys: tuple[EntityKey, ...]
    """What the command is about."""
    attempts: int
    """This one included, until it turns out to have been none."""
    attempts_in_doubt: list[InDoubtAttempt]
    alone: bool
    """Whether nothing else is in its batch."""
    weight: int
    """The bytes of its aggregates, where they are known to be large (the module weighing)."""
    is_heavy: bool
    put_off: bool
    """Set if the attempt leaves it untried, as it is heavy."""
    lost_to_a_change: bool
    """Set if the attempt lost because an entity type is being changed."""
    is_contended: bool
    """Set if the next attempt waits for an advisory lock, and needs no pause before."""

    def weigh(self, weight: int) -> None:
        """Must make it heavy, if `weight` is not 0 or it is alone."""

    def is_live(self, now: float) -> bool:
        """Whether somebody still waits, at `now` on the event loop's clock.

        Must answer it if its time is up.
        """

    def settle(self, answer: Outcome | FeatomError) -> None:
        """Must answer whoever waits, the first time that it is called."""


Pending = TypeVar("Pending", bound=PendingCommand)


def keys_in(commands: Iterable[PendingCommand]) -> Iterator[EntityKey]:
    """The aggregates that some commands are about; one comes again with each command about it."""
    for command in commands:
        yield from command.keys


def split(
    commands: Iterable[Pending], keys: Iterable[EntityKey]
) -> tuple[list[Pending], list[Pending]]:
    """Those that may go on while others wait for these keys, and those that must stay behind them,
    or behind one that does.
    """
    held = set(keys)
    free, behind = [], []
    for command in commands:
        if held.isdisjoint(command.keys):
            free.append(command)
        else:
            held.update(command.keys)
            behind.append(command)
    return free, behind


def untried(put_off: list[Pending]) -> list[Pending]:
    """What is put off: it was no attempt."""
    for pending in put_off:
        pending.put_off = True
        pending.attempts -= 1
    return put_off
