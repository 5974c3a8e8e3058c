"""Which stored aggregates break a definition, page by page."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from domain.entity_type_store import EntityTypeStore, Mark, ScannedAggregate
from domain.errors import Contended, RuleViolation
from domain.policy import Policy
from domain.timestamp import Timestamp

_PAGE: Final = 200
_MAX_NAMED: Final = 2_000
"""Violations after which a page ends, so that clients take the answer."""
_LONG: Final = 0.002
"""Seconds of work after which other calls have their turn: an update takes ten such turns."""
_VERY_LONG: Final = 0.01
"""Seconds of work after which one turn is not enough. Rules may take longer for one aggregate."""
_LITTLE: Final = 200
"""Aggregates that are soon checked, also while writers wait."""
_ROUNDS: Final = 50
_MAX_SUBJECTS: Final = 1_000
"""Names that are counted: of features that an entity type does not declare there may be any."""
_REPORT_EVERY: Final = 20_000

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """What a check of one page found."""

    checked: int
    violating: Sequence[tuple[str, Sequence[RuleViolation]]]
    last_id: str
    """Empty if this was the last page."""


@dataclass
class Broken:
    """How many aggregates break a definition, and of these how many what."""

    aggregates: int = 0
    by_subject: Counter[str] = field(default_factory=Counter)
    """By the name of a feature or of a rule, up to a bound."""

    def add(self, violations: Iterable[RuleViolation]) -> None:
        """Count one aggregate."""
        self.aggregates += 1
        for subject in {subject for _, subject, _ in violations}:
            if subject in self.by_subject or len(self.by_subject) < _MAX_SUBJECTS:
                self.by_subject[subject] += 1


@dataclass
class Progress:
    """How far a check of all aggregates is. It goes on from there after an interruption."""

    since: Mark
    """What is written after this may be missed."""
    after: str = ""
    checked: int = 0
    broken: Broken = field(default_factory=Broken)
    complete: bool = False


class AggregateCheck:
    """Holds the stored aggregates of a type against one definition of it."""

    def __init__(self, store: EntityTypeStore, policy: Policy) -> None:
        """`policy` is the definition, compiled."""
        self._store = store
        self._policy = policy
        self._name = policy.definition.name

    async def page(self, after: str, limit: int) -> Checked:
        """Check up to `limit` aggregates, those with ids after `after`; fewer if they are large."""
        now = await self._store.now()
        page, more = await self._store.scan(self._name, after, limit)
        violating = []
        named = 0
        rested = time.monotonic()
        for number, (entity_id, features) in enumerate(page, start=1):
            if violations := self._policy.state_violations(entity_id, features, now):
                violating.append((entity_id, violations))
                named += len(violations)
            if named > _MAX_NAMED and number < len(page):
                return Checked(number, violating, entity_id)
            rested = await _rest_after_long_work(rested)
        return Checked(len(page), violating, page[-1].entity_id if more else "")

    async def all(self, progress: Progress) -> None:
        """Check all, from where it was left. What is written meanwhile may be missed."""
        while not progress.complete:
            page = await self.page(progress.after, _PAGE)
            progress.checked += page.checked
            for _, violations in page.violating:
                progress.broken.add(violations)
            progress.after, progress.complete = page.last_id, not page.last_id
            checked = progress.checked
            if checked % _REPORT_EVERY < page.checked and checked >= _REPORT_EVERY:
                log.info(
                    "%s: %d aggregates checked, %d violating",
                    self._name,
                    checked,
                    progress.broken.aggregates,
                )

    async def follow(self, since: Mark, now: Timestamp) -> tuple[Mark, Broken]:
        """Check what was written since a mark, again and again until little is left.

        Returns the mark after which the rest was written, and what is broken: if anything is, the
        rest was not looked at. Raises Contended if it does not get less, and MarkExpired.
        """
        for _ in range(_ROUNDS):
            after, checked = await self._store.mark(), 0
            async with aclosing(self._store.written_since(self._name, since)) as written:
                async for page in written:
                    checked += len(page)
                    broken = await self.broken(page, now)
                    if broken.aggregates:
                        return after, broken
            since = after
            if checked <= _LITTLE:
                return since, Broken()
        raise Contended("Aggregates are written faster than they can be checked.")

    async def broken(
        self, page: Sequence[ScannedAggregate], now: Timestamp, until: float = math.inf
    ) -> Broken:
        """What some aggregates break of the definition. Raises Contended if it takes too long.

        `until` is on the monotonic clock.
        """
        broken = Broken()
        rested = time.monotonic()
        for entity_id, features in page:
            if rested > until:
                raise Contended("The rules take too long for what was just written.")
            if violations := self._policy.state_violations(entity_id, features, now):
                broken.add(violations)
            rested = await _rest_after_long_work(rested)
        return broken


async def _rest_after_long_work(since: float) -> float:
    """Let other calls have their turn if it is time; returns since when there was no rest.

    After very long work they have as much time as it took.
    """
    worked = time.monotonic() - since
    if worked < _LONG:
        return since
    await asyncio.sleep(worked if worked > _VERY_LONG else 0)
    return time.monotonic()
