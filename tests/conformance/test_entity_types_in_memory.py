"""Entity types in memory."""

import pytest

from repository.memory import MemoryRepository
from tests.conformance.entity_types import *  # noqa: F403


@pytest.fixture
async def fresh_repository() -> MemoryRepository:
    return MemoryRepository()
