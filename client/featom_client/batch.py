"""Updates of several aggregates that apply together, or not at all."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import TracebackType

from featom_client import calls
from featom_client.answers import Updated
from featom_client.calls import Call
from featom_client.contract import UpdateFeaturesRequest
from featom_client.operations import Change, merged


class _Gathered:
    """The updates of a batch."""

    def __init__(self, request_id: str | None) -> None:
        self._request_id = request_id
        self._requests: list[UpdateFeaturesRequest] = []
        self.outcomes: tuple[Updated, ...] = ()
        """One for each update, in order, once the batch is applied."""

    def update(
        self,
        entity_type: str,
        entity_id: str,
        features: Mapping[str, Change] | None = None,
        /,
        *,
        event_time: datetime | None = None,
        etag: str | None = None,
        must_be_absent: bool = False,
        return_aggregate: bool = False,
        **named: Change,
    ) -> None:
        """Add an update to the batch; see Client.update. Raises InvalidRequest."""
        request = calls.update_request(
            entity_type,
            entity_id,
            merged(features, named),
            event_time=event_time,
            etag=etag,
            must_be_absent=must_be_absent,
            return_aggregate=return_aggregate,
        )
        self._requests.append(request)

    def _call(self) -> Call[tuple[Updated, ...]]:
        return calls.update_batch(self._requests, self._request_id)


class Batch(_Gathered):
    """Is applied at the end of its block, unless that raises."""

    def __init__(
        self,
        run: Callable[[Call[tuple[Updated, ...]]], tuple[Updated, ...]],
        request_id: str | None,
    ) -> None:
        super().__init__(request_id)
        self._run = run

    def __enter__(self) -> "Batch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and self._requests:
            self.outcomes = self._run(self._call())


class AsyncBatch(_Gathered):
    """Is applied at the end of its block, unless that raises."""

    def __init__(
        self,
        run: Callable[[Call[tuple[Updated, ...]]], Awaitable[tuple[Updated, ...]]],
        request_id: str | None,
    ) -> None:
        super().__init__(request_id)
        self._run = run

    async def __aenter__(self) -> "AsyncBatch":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and self._requests:
            self.outcomes = await self._run(self._call())
