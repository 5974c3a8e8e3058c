"""Ways to break Featom, each of which the checker must catch. Never in the product.

A sabotage changes the product in the memory of one process. Each asserts that it still finds what
it means to break.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from domain.aggregate import FeatureAggregate
from domain.errors import RuleViolation
from domain.etag import Etag, etag_token
from domain.outcome import UpdateOutcome
from domain.policy import Policy
from repository import snapshot
from repository.codec import outcome as outcome_codec
from repository.pool import SERIALIZABLE, Connection, Pool
from repository.statements import READ, WRITE
from repository.write_protocol import WriteProtocol

LATER: Final = 0.015
"""Seconds between what is too early and what it should have waited for."""


def no_version_check() -> None:
    """Write whatever was read, whether or not somebody has written since."""
    _break(WRITE, "write_batch", "AND a.xmin = r.xmin_read AND a.version = r.version_read", "")


def apply_twice_on_retry() -> None:
    """Know no request id, and never look whether a commit in doubt has come about."""
    _break(WRITE, "read_for_update_with_requests", "JOIN requests AS r\n    ON", "{} false AND")
    _break(WRITE, "find_batch", "WHERE EXISTS", "WHERE false AND EXISTS")


def acknowledge_before_commit() -> None:
    """Answer when the statement is done; commit a moment later."""
    run: Callable[..., Awaitable[Any]] = Pool.run
    isolation_of: dict[int, dict[str, str]] = {}
    begin = Pool.__init__

    def remember(self: Pool, dsn: str, isolation: dict[str, str], **options: Any) -> None:
        begin(self, dsn, isolation, **options)
        isolation_of[id(self)] = isolation

    async def run_early(self: Pool, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        if isolation_of[id(self)] is not SERIALIZABLE:
            return await run(self, work)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def commit_later(link: Connection) -> None:
            async with link.transaction(isolation="serializable"):
                done.set_result(await work(link))
                await asyncio.sleep(LATER)

        committed = asyncio.ensure_future(run(self, commit_later))
        await asyncio.wait([done, committed], return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else await committed

    _replace(Pool, "__init__", remember)
    _replace(Pool, "run", run_early)


def etag_of_xmin_only() -> None:
    """Make etags of the transaction that wrote the row, which several versions share."""
    transactions: dict[UUID, int] = {}
    read_row, write = snapshot._row, WriteProtocol._write

    def row_with_xmin(*arguments: Any) -> Any:
        row = read_row(*arguments)
        if row.read is not None:
            transactions[row.aggregate.uid] = row.read.xmin
        return row

    async def write_and_look(self: WriteProtocol, evaluation: Any, *arguments: Any) -> Any:
        lost = await write(self, evaluation, *arguments)
        for row in evaluation.rows.values():
            aggregate = row.aggregate
            found = await self._readers.read(_TRANSACTION, *row.key, aggregate.uid)
            if found:
                transactions[aggregate.uid] = found[0][0]
        return lost

    def token(uid: UUID, epoch: int, version: int) -> bytes:
        return etag_token(uid, epoch, transactions.get(uid, 0))

    def etag(self: FeatureAggregate | UpdateOutcome) -> Etag:
        return Etag(self.uid, self.epoch, transactions.get(self.uid, 0))

    _replace(snapshot, "_row", row_with_xmin)
    _replace(WriteProtocol, "_write", write_and_look)
    _replace(FeatureAggregate, "etag", property(etag))
    _replace(UpdateOutcome, "etag", property(etag))
    _replace(outcome_codec, "etag_token", token)
    _break(READ, "read_aggregates", "a.version", "a.xmin::text::bigint")


def no_revision_check() -> None:
    """Write what was checked against a revision, a moment later, whether or not it is current."""
    _break(WRITE, "write_batch", "AND t.revision = r.revision\n    FOR SHARE OF t", "")
    write = WriteProtocol._write

    async def write_later(self: WriteProtocol, *arguments: Any) -> Any:
        await asyncio.sleep(LATER)
        return await write(self, *arguments)

    _replace(WriteProtocol, "_write", write_later)


def one_violation_dropped() -> None:
    """Of several violations do not name the last."""
    violations = Policy.violations

    def all_but_one(self: Policy, *arguments: Any, **options: Any) -> list[RuleViolation]:
        found = violations(self, *arguments, **options)
        return found[:-1] if len(found) > 1 else found

    _replace(Policy, "violations", all_but_one)


SABOTAGES: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        sabotage.__name__: sabotage
        for sabotage in (
            no_version_check,
            apply_twice_on_retry,
            acknowledge_before_commit,
            etag_of_xmin_only,
            no_revision_check,
            one_violation_dropped,
        )
    }
)

_TRANSACTION: Final = (
    "SELECT xmin::text::bigint FROM aggregates"
    " WHERE entity_type = $1 AND entity_id = $2 AND uid = $3"
)


def _break(statements: dict[str, str], name: str, part: str, replacement: str) -> None:
    assert part in statements[name], f"{name} is written in another way now"
    statements[name] = statements[name].replace(part, replacement.format(part))


def _replace(owner: Any, name: str, replacement: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} now"
    setattr(owner, name, replacement)
