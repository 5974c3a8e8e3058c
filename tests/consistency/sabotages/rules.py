"""Rules that are not kept, or not told."""

import asyncio
from typing import Any

from domain.errors import RuleViolation
from domain.policy import Policy
from repository.statements import WRITE
from repository.writing.write_protocol import WriteProtocol
from tests.consistency.sabotages.breaking import LATER, break_statement, replace_in


def no_revision_check() -> None:
    """Write what was checked against a revision, a moment later, whether or not it is current."""
    break_statement(WRITE, "write_batch", "AND t.revision = r.revision\n    FOR SHARE OF t", "")
    write = WriteProtocol._write

    async def write_later(self: WriteProtocol, *arguments: Any) -> Any:
        await asyncio.sleep(LATER)
        return await write(self, *arguments)

    replace_in(WriteProtocol, "_write", write_later)


def one_violation_dropped() -> None:
    """Of several violations do not name the last."""
    violations = Policy.violations

    def all_but_one(self: Policy, *arguments: Any, **options: Any) -> list[RuleViolation]:
        found = violations(self, *arguments, **options)
        return found[:-1] if len(found) > 1 else found

    replace_in(Policy, "violations", all_but_one)
