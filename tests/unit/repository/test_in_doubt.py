"""A doubt is told of when it begins and when it ends, however often it is tried to end it."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from repository.sessions.facts import Backend
from repository.writing import in_doubt
from repository.writing.in_doubt import InDoubtTransactions, StillInDoubt

KEY: Final = EntityKey("card", "4711")
BACKEND: Final = Backend(1, datetime(2026, 11, 29, tzinfo=UTC))


class FakeCommits:
    """Ends no backend while the database is away."""

    def __init__(self) -> None:
        self.is_away = True
        self.tries = 0

    async def end(self, backend: Backend) -> bool:
        self.tries += 1
        if self.is_away:
            raise DatabaseUnavailable
        return True


async def test_a_commit_in_doubt_is_two_lines_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_doubt, "_PAUSE", 0.001)
    caplog.set_level("INFO")
    commits: Any = FakeCommits()
    readers: Any = None
    transactions = InDoubtTransactions(readers, commits)
    transactions.note(BACKEND, [KEY])
    while commits.tries < 20:
        with pytest.raises(StillInDoubt):
            await transactions.decide([KEY])
        await asyncio.sleep(0.001)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is in doubt: DatabaseUnavailable" in caplog.text
    commits.is_away = False
    await transactions.decide([KEY])
    await transactions.close()
    assert len(caplog.records) == 2
    assert "not in doubt any more" in caplog.text
