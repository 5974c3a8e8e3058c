"""Writes that are not atomic, not checked, or not there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import Contended
from domain.outcome import BatchOutcome, Outcome, UpdateOutcome
from domain.update import Command, Update, UpdateBatch
from repository.connections.isolation import SerializablePool
from repository.connections.pool import Connection
from repository.postgres import PostgresRepository
from repository.statements import WRITE
from repository.writing import contention as contention
from repository.writing.write_protocol import WriteProtocol
from tests.consistency.sabotages.breaking import (
    LATER,
    break_statement,
    now_and_then,
    replace_in,
)


def no_version_check() -> None:
    """Write whatever was read, whether or not somebody has written since."""
    checked = "AND a.xmin = r.xmin_read AND a.version = r.version_read"
    break_statement(WRITE, "write_batch", checked, "")


def no_check_of_what_is_left() -> None:
    """Write a batch, a moment later, whether or not somebody has written what it leaves as it was.

    Nobody waits for a turn, which would mostly hide it.
    """
    contention.LASTS = 0.0  # type: ignore[misc]

    checked = "WHERE r.row_number NOT IN (SELECT l.row_number FROM locked AS l)"
    names = ("updated.entity_type", "updated.entity_id")
    numbers = [WRITE.parameters["write_batch"].index(name) + 1 for name in names]
    changed = ", ".join(f"string_to_array(${number}, chr(10))" for number in numbers)
    of_changed = f"{{}} AND (r.entity_type, r.entity_id) IN (SELECT * FROM unnest({changed}))"
    break_statement(WRITE, "write_batch", checked, of_changed)
    write = WriteProtocol._write

    async def write_later(self: WriteProtocol, *arguments: Any) -> Any:
        await asyncio.sleep(4 * LATER)
        return await write(self, *arguments)

    replace_in(WriteProtocol, "_write", write_later)


def apply_twice_on_retry() -> None:
    """Know no request id, and never look whether a commit in doubt has come about."""
    joined = "JOIN requests AS r\n    ON"
    break_statement(WRITE, "read_for_update_with_requests", joined, "{} false AND")
    break_statement(WRITE, "find_batch", "WHERE EXISTS", "WHERE false AND EXISTS")


def apply_twice_at_once() -> None:
    """Take each update that has no request id two times."""
    submit = PostgresRepository.submit

    def submit_twice(self: PostgresRepository, command: Command, *arguments: Any) -> Any:
        if isinstance(command, Update) and command.request_id is None:
            submit(self, command, *arguments).add_done_callback(_forget)
        return submit(self, command, *arguments)

    replace_in(PostgresRepository, "submit", submit_twice)


def acknowledge_before_commit() -> None:
    """Answer when the statement is done; commit a moment later."""
    run: Callable[..., Awaitable[Any]] = SerializablePool.run

    async def run_early(
        self: SerializablePool, work: Callable[[Connection], Awaitable[Any]]
    ) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def commit_later(link: Connection) -> None:
            async with link.transaction(isolation="serializable"):
                done.set_result(await work(link))
                await asyncio.sleep(LATER)

        committed = asyncio.ensure_future(run(self, commit_later))
        await asyncio.wait([done, committed], return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else await committed

    replace_in(SerializablePool, "run", run_early)


def apply_later_than_answered() -> None:
    """Only check an update at first, and apply it when it has long been answered."""
    update = PostgresRepository.update
    waiting: set[asyncio.Task[None]] = set()

    async def update_later(
        self: PostgresRepository, wanted: Update, *arguments: Any
    ) -> UpdateOutcome:
        if wanted.request_id is not None or wanted.etag is not None:
            return await update(self, wanted, *arguments)

        async def apply() -> None:
            await asyncio.sleep(4 * LATER)
            await update(self, wanted)

        outcome = await update(self, replace(wanted, validate_only=True), *arguments)
        if not wanted.validate_only:
            task = asyncio.create_task(apply())
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            outcome = replace(outcome, rehearsed=False)
            outcome = replace(outcome, state_etag=outcome.etag)
        return outcome

    replace_in(PostgresRepository, "update", update_later)


def refuse_what_was_committed() -> None:
    """Say now and then that an update lost its race, when it did not."""
    update = PostgresRepository.update

    async def refuse(self: PostgresRepository, *arguments: Any) -> UpdateOutcome:
        outcome = await update(self, *arguments)
        if now_and_then():
            raise Contended
        return outcome

    replace_in(PostgresRepository, "update", refuse)


def write_batches_in_parts() -> None:
    """Commit each update of a batch by itself."""

    async def update_batch(
        self: PostgresRepository, batch: UpdateBatch, *arguments: Any
    ) -> BatchOutcome:
        outcomes = []
        for each in batch.updates:
            named = replace(each, request_id=batch.request_id, fingerprint=batch.fingerprint)
            outcomes.append(await self.update(named, *arguments))
            await asyncio.sleep(LATER)
        return BatchOutcome(tuple(outcomes))

    assert hasattr(PostgresRepository, "update")
    replace_in(PostgresRepository, "update_batch", update_batch)


def write_to_the_next_entity() -> None:
    """Take one entity for another."""
    submit = PostgresRepository.submit

    def submit_elsewhere(self: PostgresRepository, command: Command, *arguments: Any) -> Any:
        if isinstance(command, Update) and command.key.entity_id == "warm-0":
            elsewhere = EntityKey(command.key.entity_type, "warm-1")
            command = replace(command, key=elsewhere, etag=None)
        return submit(self, command, *arguments)

    replace_in(PostgresRepository, "submit", submit_elsewhere)


def leave_the_history() -> None:
    """Delete, and keep what was to be erased."""
    break_statement(WRITE, "erase_history", "WHERE", "WHERE false AND")


def leave_the_requests() -> None:
    """Delete with all history, and go on knowing the requests of what is erased."""
    break_statement(WRITE, "erase_requests", "WHERE", "WHERE false AND")


def _forget(answer: "asyncio.Future[Outcome]") -> None:
    if not answer.cancelled():
        answer.exception()
