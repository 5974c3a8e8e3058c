"""Lines of the audit log, caught before they reach a file."""

import json
from typing import Any

import pytest


class Lines(list[dict[str, Any]]):
    """An audit log in memory."""

    def write(self, entry: Any) -> None:
        self.append(json.loads(json.dumps(entry)))


@pytest.fixture
def lines() -> Lines:
    return Lines()
