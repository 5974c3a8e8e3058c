"""StreamUpdateFeatures: updates come and answers go, both at their own pace."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from grpc import StatusCode

from domain.errors import Draining, FeatomError
from domain.outcome import Outcome, UpdateOutcome
from domain.ports import AggregateWriter
from featom.v1 import feature_store_pb2 as pb
from server.call import Call
from server.conversion.responses import stream_error, stream_response
from server.conversion.writes import read_update
from server.decoding import Decoder
from server.errors import to_status
from server.stages import MessageHandler, MessageStage, surround

WINDOW: Final = 256
"""Updates of one stream that may be read and not yet answered."""

log = logging.getLogger(__name__)


class UpdateStream:
    """One stream of updates. `run` may be called once."""

    def __init__(
        self,
        call: Call,
        writer: AggregateWriter,
        decode: Decoder,
        draining: asyncio.Event,
        stages: Sequence[MessageStage] = (),
    ) -> None:
        """When `draining` is set nothing more is read. `stages` are put around each message."""
        self._call = call
        self._writer = writer
        self._decode = decode
        self._draining = draining
        self._deadline = call.deadline
        self._stages = stages
        self._room = asyncio.Semaphore(WINDOW)
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._undecided: set[asyncio.Future[Outcome]] = set()
        self._reading = True

    async def run(self) -> None:
        """Answer every update, until the client has no more or the server drains.

        Raises what is wrong with the stream itself, once every update that was read is answered.
        """
        reader = asyncio.create_task(self._read())
        drainer = asyncio.create_task(self._stop_reading_on_drain(reader))
        try:
            while (answer := await self._answers.get()) is not None:
                await self._call.write(answer)
                self._room.release()
        finally:
            drainer.cancel()
            reader.cancel()
            # The client is gone: what is in no batch yet need not be done.
            for future in self._undecided:
                future.cancel()
        await self._raise_why_reading_ended(reader)

    async def _read(self) -> None:
        # Not kept: it knows us, and what knows itself is not freed before Python looks for it.
        submit = surround(self._write, self._stages)
        try:
            async for data in self._call.stream:
                await self._room.acquire()
                self._begin(submit, self._decode(pb.StreamUpdateFeaturesRequest, data))
        finally:
            self._reading = False
            self._end_if_complete()

    async def _stop_reading_on_drain(self, reader: "asyncio.Task[None]") -> None:
        await self._draining.wait()
        reader.cancel()

    def _begin(self, submit: MessageHandler, request: pb.StreamUpdateFeaturesRequest) -> None:
        try:
            future = submit(self._call, request)
        except FeatomError as error:
            self._answers.put_nowait(self._failure(request.sequence, error))
        else:
            self._undecided.add(future)
            future.add_done_callback(partial(self._finish, request.sequence))

    def _write(
        self, call: Call, request: pb.StreamUpdateFeaturesRequest
    ) -> "asyncio.Future[Outcome]":
        return self._writer.submit(read_update(request.update, call.principal), self._deadline)

    def _finish(self, sequence: int, future: "asyncio.Future[Outcome]") -> None:
        self._undecided.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, Exception):
            self._answers.put_nowait(self._failure(sequence, error))
        else:
            outcome = future.result()
            assert isinstance(outcome, UpdateOutcome)
            self._answers.put_nowait(stream_response(sequence, outcome))
        self._end_if_complete()

    def _failure(self, sequence: int, error: Exception) -> bytes:
        self._call.on_error(error)
        code, status = to_status(error, self._call.request_id)
        if code is StatusCode.INTERNAL:
            log.error("%s %s failed", self._call.request_id, self._call.method, exc_info=error)
        return stream_error(sequence, status)

    def _end_if_complete(self) -> None:
        if not self._reading and not self._undecided:
            self._answers.put_nowait(None)

    async def _raise_why_reading_ended(self, reader: "asyncio.Task[None]") -> None:
        if not reader.cancelled():
            await reader
        elif self._draining.is_set():
            raise Draining
