"""A short run of what `make fuzz` does at length."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc import StatusCode

from tests.attacks.fuzz import LASTING, fuzz
from tests.kit.secured_server import Fortress


@pytest.fixture
def lasting_fortress(attacked_database: str, tmp_path: Path) -> Iterator[Fortress]:
    """One that ends no connection meanwhile, however slow the machine is."""
    with Fortress(tmp_path).serving(attacked_database, **LASTING) as serving:
        yield serving


async def test_mutated_messages_are_answered_and_never_with_internal(
    lasting_fortress: Fortress,
) -> None:
    findings = await fuzz(lasting_fortress, messages=2_000, seed=20_261_123)
    assert not findings.bad, f"{findings.bad}\n{lasting_fortress.server.log}"
    assert lasting_fortress.is_well()
    # It was worth it: many got through to the database, and many were refused.
    assert findings.codes[StatusCode.OK] > 100
    assert findings.codes[StatusCode.INVALID_ARGUMENT] > 100
    assert len(findings.codes) >= 4
