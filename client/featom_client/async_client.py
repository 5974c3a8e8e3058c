"""The client, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any

import grpc.aio

from featom_client import calls, entity_types
from featom_client.answers import Aggregate, AggregateChange, Deleted, Updated, absent
from featom_client.async_stream import AsyncStream
from featom_client.batch import AsyncBatch
from featom_client.bulk import WriteResult
from featom_client.calls import Answer, Call
from featom_client.channels import AsyncChannels
from featom_client.client import TRIES
from featom_client.configured import Configured
from featom_client.entity_types import Applied, EntityType
from featom_client.errors import AggregateExists, AggregateNotFound, EtagMismatch
from featom_client.operations import Change, merged
from featom_client.retries import Attempts
from featom_client.rows import Nulls, Reading
from featom_client.table import Table


class AsyncClient(Configured):
    """Updates and reads feature aggregates. May be used in several event loops.

    Values are checked before anything is sent, and the error names every problem. Transient
    failures are retried within `timeouts` and as `retry` says; each write has a request id, so that
    the store applies it once. All methods raise the errors of `featom_client.errors`.
    """

    def _prepare(self) -> None:
        self._channels = AsyncChannels(self._connection, self.timeouts)

    async def close(self) -> None:
        """Close the connection. Calls in flight end with ClientClosed or Unreachable."""
        await self._channels.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def update(
        self,
        entity_type: str,
        entity_id: str,
        features: Mapping[str, Change] | None = None,
        /,
        *,
        event_time: datetime | None = None,
        etag: str | None = None,
        must_be_absent: bool = False,
        request_id: str | None = None,
        validate_only: bool = False,
        return_aggregate: bool = False,
        timeout: float | None = None,
        **named: Change,
    ) -> Updated:
        """Change several features of one entity: all of them, or none.

        A plain value sets a feature; `inc`, `maximum`, `minimum`, `append`, `remove` and `at` do
        more. `features` is for names that are not identifiers or are also options. `event_time`:
        None means now. With `etag` the update applies only to that version, with `must_be_absent`
        only if there is no aggregate. `request_id` is a UUID; None means a new one.
        Raises EtagMismatch, AggregateExists, RuleViolated and others.
        """
        request = calls.update_request(
            entity_type,
            entity_id,
            merged(features, named),
            event_time=event_time,
            etag=etag,
            must_be_absent=must_be_absent,
            request_id=request_id,
            validate_only=validate_only,
            return_aggregate=return_aggregate,
        )
        return await self._run(calls.update(request), timeout)

    async def get(
        self,
        entity_type: str,
        entity_id: str,
        features: Iterable[str] | None = None,
        *,
        at_least_etag: str | None = None,
        eventual: bool = False,
        as_of_version: int | None = None,
        as_of_commit_time: datetime | None = None,
        as_of_event_time: datetime | None = None,
        uid: str | None = None,
        read_time: datetime | None = None,
        timeout: float | None = None,
    ) -> Aggregate:
        """Read one aggregate as one committed version, with all features or only those named.

        `at_least_etag` and `eventual` allow older versions. `as_of_…` reads the past, `uid` of an
        earlier incarnation; with `read_time` as it was served then. Raises AggregateNotFound.
        """
        call = calls.get(
            entity_type,
            entity_id,
            features,
            calls.consistency(at_least_etag, eventual),
            as_of_version,
            as_of_commit_time,
            as_of_event_time,
            uid,
            read_time,
        )
        return await self._run(call, timeout)

    async def get_many(
        self,
        entity_type: str,
        entity_ids: Iterable[str],
        features: Iterable[str] | None = None,
        *,
        at_least_etag: str | None = None,
        eventual: bool = False,
        timeout: float | None = None,
    ) -> Table:
        """Read up to 1,000 aggregates in one snapshot, as a table with one row for each id."""
        freshness = calls.consistency(at_least_etag, eventual)
        return await self._run(
            calls.get_many(entity_type, entity_ids, features, freshness), timeout
        )

    async def list(
        self, entity_type: str, *, timeout: float | None = None
    ) -> AsyncIterator[Aggregate]:
        """Iterate over all aggregates of a type by id. `timeout` is for each page."""
        token = ""
        while True:
            page, token = await self._run(calls.list_page(entity_type, token), timeout)
            for each in page:
                yield each
            if not token:
                return

    async def history(
        self,
        entity_type: str,
        entity_id: str,
        *,
        uid: str | None = None,
        oldest_first: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[AggregateChange]:
        """Iterate over the changes of one aggregate, newest first. `timeout` is for each page.

        All incarnations are in it, also of what is deleted, or the one of `uid`. Changes that are
        older than the store keeps them are not.
        """
        token = ""
        while True:
            call = calls.history_page(entity_type, entity_id, uid, oldest_first, token)
            page, token = await self._run(call, timeout)
            for each in page:
                yield each
            if not token:
                return

    async def delete(
        self,
        entity_type: str,
        entity_id: str,
        *,
        etag: str | None = None,
        request_id: str | None = None,
        erase_history: bool = False,
        timeout: float | None = None,
    ) -> Deleted:
        """Delete one aggregate. Its history stays, unless `erase_history` is set.

        Raises AggregateNotFound.
        """
        call = calls.delete(entity_type, entity_id, etag, request_id, erase_history)
        return await self._run(call, timeout)

    def batch(self, *, request_id: str | None = None, timeout: float | None = None) -> AsyncBatch:
        """Collect updates in a `with` block; at its end all of them apply, or none."""
        return AsyncBatch(lambda call: self._run(call, timeout), request_id)

    def stream(self, *, timeout: float | None = None) -> AsyncStream:
        """Send many independent updates in a `with` block. `timeout` is for the whole job."""
        return AsyncStream(self._run, self.timeouts.call, timeout or self.timeouts.job)

    async def write(
        self,
        table: Any,
        entity_type: str,
        *,
        entity_id: str = "entity_id",
        event_time: str | None = None,
        nulls: Nulls = "refuse",
        timeout: float | None = None,
    ) -> WriteResult:
        """Write each row of a table as an independent update. `timeout` is for the whole job.

        `table` is a pandas or polars frame, any Arrow data (`__arrow_c_stream__`), a mapping of
        columns, or an iterable of rows. `entity_id` and `event_time` name columns; all others are
        features. A row with a null is refused, unless `nulls` is "skip" (leave the feature as it
        is) or "remove". Raises WriteStopped if a call finally fails.
        """
        async with self.stream(timeout=timeout) as stream:
            await stream.add(Reading(entity_type, entity_id, event_time, nulls).rows(table))
        return stream.result

    async def transact(
        self,
        entity_type: str,
        entity_id: str,
        decide: Callable[[Aggregate], Mapping[str, Change] | None],
        *,
        tries: int = TRIES,
        timeout: float | None = None,
    ) -> Updated | None:
        """Read, call `decide`, and write what it returns if nothing has changed in between.

        After a conflict it starts again; after `tries` attempts it raises EtagMismatch or
        AggregateExists. If there is no aggregate, `decide` gets an empty one of version 0. If
        `decide` returns None, nothing is written.
        """
        for attempt in range(1, tries + 1):
            try:
                read = await self.get(entity_type, entity_id, timeout=timeout)
            except AggregateNotFound:
                read = absent(entity_type, entity_id)
            changes = decide(read)
            if changes is None:
                return None
            try:
                return await self.update(
                    entity_type,
                    entity_id,
                    changes,
                    etag=read.etag or None,
                    must_be_absent=read.version == 0,
                    timeout=timeout,
                )
            except (EtagMismatch, AggregateExists):
                if attempt == tries:
                    raise
            await asyncio.sleep(self.retry.pause_after(attempt))
        raise ValueError(f"tries must be 1 or more, not {tries}")

    async def apply_entity_type(
        self,
        entity_type: EntityType,
        *,
        validate_only: bool = False,
        accept_existing: bool = False,
        timeout: float | None = None,
    ) -> Applied:
        """Create or change an entity type.

        Raises IncompatibleChange if stored aggregates break it, unless that is accepted.
        """
        return await self._run(
            entity_types.apply(entity_type, validate_only, accept_existing), timeout
        )

    async def get_entity_type(
        self, name: str, *, revision: int = 0, timeout: float | None = None
    ) -> EntityType:
        """Read an entity type; revision 0 is the current one. Raises EntityTypeNotFound."""
        return await self._run(entity_types.get(name, revision), timeout)

    async def list_entity_types(self, *, timeout: float | None = None) -> AsyncIterator[EntityType]:
        """Iterate over all entity types by name. `timeout` is for each page."""
        token = ""
        while True:
            page, token = await self._run(entity_types.list_page(token), timeout)
            for each in page:
                yield each
            if not token:
                return

    async def delete_entity_type(
        self,
        name: str,
        *,
        etag: str | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Delete an entity type.

        Raises EntityTypeInUse if there are aggregates, unless `force` is set; they stay, unchecked.
        """
        await self._run(entity_types.delete(name, etag, force), timeout)

    async def call(self, call: Call[Answer], *, timeout: float | None = None) -> Answer:
        """Make a call that there is no method for, as all others are made."""
        return await self._run(call, timeout)

    async def _run(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        """Make a call, and retry it while it fails for the moment."""
        seconds = self.timeouts.call if timeout is None else timeout
        attempts = Attempts(self.retry, self.timeouts.attempt, seconds)
        while True:
            method = self._channels.method(call.method)
            try:
                answer = await method(
                    call.request,
                    timeout=attempts.seconds(),
                    metadata=self._connection.metadata(),
                )
            except grpc.RpcError as failure:
                pause = attempts.pause_after(failure, call.request_id, call.repeatable)
            else:
                return call.read(answer)
            await asyncio.sleep(pause)
