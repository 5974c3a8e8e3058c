"""A short run of what `make fuzz` does at length."""

from grpc import StatusCode

from tests.attacks.fortress import Fortress
from tests.attacks.fuzz import fuzz


async def test_mutated_messages_are_answered_and_never_with_internal(fortress: Fortress) -> None:
    findings = await fuzz(fortress, messages=2_000, seed=20_261_123)
    assert not findings.bad, f"{findings.bad}\n{fortress.server.log}"
    # It was worth it: many got through to the database, and many were refused.
    assert findings.codes[StatusCode.OK] > 100
    assert findings.codes[StatusCode.INVALID_ARGUMENT] > 100
    assert len(findings.codes) >= 4
