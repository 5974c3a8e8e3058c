"""Which stored aggregates break a definition, page by page."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.entity_type_store import EntityTypeStore
from domain.errors import RuleViolation
from domain.policy import Policy

_PAGE: Final = 200
_MAX_NAMED: Final = 2_000
"""Violations after which a page ends, so that clients take the answer."""
_PAUSE_EVERY: Final = 20
_REPORT_EVERY: Final = 20_000

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """What a check of one page found."""

    checked: int
    violating: Sequence[tuple[str, Sequence[RuleViolation]]]
    last_id: str
    """Empty if this was the last page."""


class AggregateCheck:
    """Holds the stored aggregates of a type against one definition of it."""

    def __init__(self, store: EntityTypeStore, policy: Policy) -> None:
        """`policy` is the definition, compiled."""
        self._store = store
        self._policy = policy
        self._name = policy.definition.name

    async def page(self, after: str, limit: int) -> Checked:
        """Check up to `limit` aggregates, those with ids after `after`."""
        now = await self._store.now()
        page = await self._store.scan(self._name, after, limit)
        violating = []
        named = 0
        for number, (entity_id, features) in enumerate(page, start=1):
            if violations := self._policy.state_violations(entity_id, features, now):
                violating.append((entity_id, violations))
                named += len(violations)
            if named > _MAX_NAMED and number < len(page):
                return Checked(number, violating, entity_id)
            if number % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)  # other calls have their turn
        return Checked(len(page), violating, page[-1].entity_id if len(page) == limit else "")

    async def count(self) -> int:
        """How many of all break it. What is written meanwhile may be missed."""
        checked = violating = 0
        after = ""
        while True:
            page = await self.page(after, _PAGE)
            checked += page.checked
            violating += len(page.violating)
            if checked % _REPORT_EVERY < page.checked and checked >= _REPORT_EVERY:
                log.info("%s: %d aggregates checked, %d violating", self._name, checked, violating)
            if not page.last_id:
                return violating
            after = page.last_id
