"""Entity types in memory."""

import pytest

from repository.memory import MemoryRepository
from tests.conformance.entity_type_changes import *  # noqa: F403
from tests.conformance.entity_types import *  # noqa: F403


@pytest.fixture
async def fresh_repository() -> MemoryRepository:
    return MemoryRepository()
