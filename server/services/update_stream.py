"""StreamUpdateFeatures: updates come and answers go, both at their own pace."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from functools import partial
from typing import Final

from grpc import StatusCode

from domain.errors import FeatomError
from domain.outcome import Outcome, UpdateOutcome
from domain.ports import AggregateWriter
from featom.v1 import feature_store_pb2 as pb
from server.conversion.responses import stream_error, stream_response
from server.conversion.writes import read_update
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.errors import to_status
from server.rpc.middleware import MessageHandler, MessageMiddleware, wrap
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes

WINDOW: Final = 256
"""Updates of one stream that may be read and not yet answered."""
WITH_AGGREGATE: Final = 16
"""As so many counts one that is to be answered with its aggregate, which may be large."""

log = logging.getLogger(__name__)


class UpdateStream:
    """One stream of updates. `run` may be called once."""

    def __init__(
        self,
        call: Call,
        writer: AggregateWriter,
        decode: Decoder,
        life: StreamLife,
        unsent: UnsentBytes,
        middleware: Sequence[MessageMiddleware] = (),
    ) -> None:
        """When its `life` is over nothing more is read. `middleware` is put around each message."""
        self._call = call
        self._writer = writer
        self._decode = decode
        self._life = life
        self._life_is_over = False
        self._unsent = unsent
        self._deadline = call.deadline
        self._middleware = middleware
        self._room = WINDOW
        self._more_room = asyncio.Event()
        self._answers: deque[tuple[int, bytes]] = deque()
        """Each with the room that it takes."""
        self._undecided: set[asyncio.Future[Outcome]] = set()
        self._reading = True
        self._nobody_listens = False
        """Set when the call is over: what is decided from then on is told nobody."""
        self._news = asyncio.Event()
        """Set when there is an answer to send, or there will be no more."""

    async def run(self) -> None:
        """Answer every update, until the client has no more or the stream's life is over.

        Raises what is wrong with the stream itself, once every update that was read is answered.
        """
        reader = asyncio.create_task(self._read())
        # A context of its own: asyncio may keep a cancelled timer, and its context, until its time
        # has come, and ours knows the call.
        life = asyncio.create_task(self._stop_reading_when_over(reader), context=Context())
        try:
            while self._reading or self._undecided or self._answers:
                await self._send_answers()
        finally:
            life.cancel()
            reader.cancel()
            # The client is gone: what is in no batch yet need not be done.
            for future in self._undecided:
                future.cancel()
            self._nobody_listens = True
            for _, answer in self._answers:
                self._unsent.release(len(answer))
        await self._raise_why_reading_ended(reader)

    async def _send_answers(self) -> None:
        """Send what there is; waits for an answer if there is none yet."""
        self._news.clear()
        while self._answers:
            room, answer = self._answers.popleft()
            try:
                await self._call.write(answer)
            finally:
                self._unsent.release(len(answer))
            self._room += room
            self._more_room.set()
        if self._reading or self._undecided:
            await self._news.wait()

    async def _read(self) -> None:
        # Not kept: it knows us, and what knows itself is not freed before Python looks for it.
        submit = wrap(self._write, self._middleware)
        try:
            async for data in self._call.stream:
                request = self._decode(pb.StreamUpdateFeaturesRequest, data)
                room = WITH_AGGREGATE if request.update.return_aggregate else 1
                while self._room < room:
                    self._more_room.clear()
                    await self._more_room.wait()
                self._room -= room
                self._begin(submit, request, room)
        finally:
            self._reading = False
            self._news.set()

    async def _stop_reading_when_over(self, reader: "asyncio.Task[None]") -> None:
        await self._life.over()
        self._life_is_over = True
        reader.cancel()

    def _begin(
        self, submit: MessageHandler, request: pb.StreamUpdateFeaturesRequest, room: int
    ) -> None:
        try:
            future = submit(self._call, request)
        except FeatomError as error:
            self._answer(room, self._failure(request.sequence, error))
        else:
            self._undecided.add(future)
            future.add_done_callback(partial(self._finish, request.sequence, room))

    def _write(
        self, call: Call, request: pb.StreamUpdateFeaturesRequest
    ) -> "asyncio.Future[Outcome]":
        if request.update.return_aggregate:
            self._unsent.require_room()
        return self._writer.submit(read_update(request.update, call.principal), self._deadline)

    def _finish(self, sequence: int, room: int, future: "asyncio.Future[Outcome]") -> None:
        self._undecided.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, Exception):
            self._answer(room, self._failure(sequence, error))
        else:
            outcome = future.result()
            assert isinstance(outcome, UpdateOutcome)
            self._answer(room, stream_response(sequence, outcome))

    def _answer(self, room: int, answer: bytes) -> None:
        if self._nobody_listens:
            return
        self._unsent.hold(len(answer))
        self._answers.append((room, answer))
        self._news.set()

    def _failure(self, sequence: int, error: Exception) -> bytes:
        self._call.on_error(error)
        code, status = to_status(error, self._call.request_id)
        if code is StatusCode.INTERNAL:
            log.error("%s %s failed", self._call.request_id, self._call.method, exc_info=error)
        return stream_error(sequence, status)

    async def _raise_why_reading_ended(self, reader: "asyncio.Task[None]") -> None:
        if not reader.cancelled():
            await reader
        elif self._life_is_over:
            raise self._life.why_over()
