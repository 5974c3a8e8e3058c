"""The whole program is tested on the newest PostgreSQL, and on the others if they are asked for.

What may differ between versions is below the program: `conformance` and `integration` always run
on each. FEATOM_TEST_POSTGRES=embedded, said and not only meant, asks for all of them here.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OLDER = "postgres-15"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "FEATOM_TEST_POSTGRES" in os.environ:
        return
    left_out = [item for item in items if HERE in item.path.parents and OLDER in item.name]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
