"""Clients that use servers as applications do, and record it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.consistency.caller import CANCELLED, Patience, call
from tests.consistency.messages import TRY_AGAIN
from tests.consistency.operations import Answer, Request, Verdict
from tests.consistency.patience import PATIENT, Mood, patient
from tests.consistency.recorder import Recorder
from tests.consistency.request_mix import Composer
from tests.consistency.updates_on_stream import update_on_stream
from tests.kit.stubs import connected

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

PAUSE: Final = 0.03
"""Seconds between two operations of a client, at most: servers that start need a share too."""
USUAL: Final[Mapping[str, int]] = MappingProxyType(
    {
        "update": 24,
        "update_without_id": 12,
        "conditional": 14,
        "creation": 4,
        "batch": 9,
        "conditional_batch": 10,
        "idle_batch": 2,
        "stream": 3,
        "read": 12,
        "batched_read": 10,
        "late": 4,
        "idle": 4,
        "rehearsal": 2,
        "again": 3,
        "reuse": 3,
        "invalid": 2,
        "delete": 2,
        "erase": 1,
    }
)
"""What clients do, and how often."""

DEADLINE_EXCEEDED: Final = "deadline_exceeded"
_PAUSE_BETWEEN_TRIES: Final = 0.02
_IMPATIENT_TRIES: Final = 3
"""After so many tries a client in a hurry waits for its answer after all."""


class Client:
    """One client of all servers: it turns to another one when one fails it."""

    def __init__(
        self,
        number: int,
        seed: int,
        recorder: Recorder,
        stores: "Sequence[FeatureStoreServiceAsyncStub]",
        mood: Mood,
        mix: Mapping[str, int],
    ) -> None:
        self._composer = Composer(number, seed)
        self._random = random.Random(f"{seed}-{number}")
        self._recorder = recorder
        self._stores = stores
        self._mood = mood
        self._mix = mix
        self._server = number % len(stores)
        self._known: Request | None = None
        """The last request of ours whose id a server must know."""
        self.hurried: Counter[str] = Counter()
        """How many calls had a short deadline, and how many were to be cancelled."""
        self.cut_short: Counter[str] = Counter()
        """How many calls in fact ended by their deadline, or because they were cancelled."""

    async def run(self, stopping: asyncio.Event) -> None:
        kinds = [getattr(self, f"_{name}") for name in self._mix]
        while not stopping.is_set():
            (kind,) = self._random.choices(kinds, [*self._mix.values()])
            await kind(stopping)
            await asyncio.sleep(self._random.uniform(0, PAUSE))

    async def _update(self, stopping: asyncio.Event) -> None:
        await self._settle(self._composer.update(known=True), stopping)

    async def _update_of_forgotten(self, stopping: asyncio.Event) -> None:
        await self._settle(self._composer.update_of_forgotten(), stopping)

    async def _update_without_id(self, _: asyncio.Event) -> None:
        await self._once(self._composer.update(known=False))

    async def _conditional(self, stopping: asyncio.Event) -> None:
        """Read, decide, write; and once more with the etag of the answer."""
        answer = await self._once(self._composer.read(), PATIENT)
        for _ in range(2):
            if not answer.seen or not answer.seen[0].etag:
                return
            seen = answer.seen[0]
            update = self._composer.conditional(seen.key, seen.etag)
            answer = await self._settle(update, stopping)

    async def _creation(self, stopping: asyncio.Event) -> None:
        known = self._random.random() < 0.5
        await self._send(self._composer.creation(known=known), stopping)

    async def _batch(self, stopping: asyncio.Event) -> None:
        known = self._random.random() < 0.7
        await self._send(self._composer.batch(known=known), stopping)

    async def _conditional_batch(self, stopping: asyncio.Event) -> None:
        """Read some, decide, write them together; some are left as they are."""
        answer = await self._once(self._composer.batched_read(most=4), PATIENT)
        if answer.seen:
            known = self._random.random() < 0.3
            await self._send(self._composer.conditional_batch(answer.seen, known=known), stopping)

    async def _idle_batch(self, stopping: asyncio.Event) -> None:
        answer = await self._once(self._composer.batched_read(most=4), PATIENT)
        if answer.seen:
            await self._send(self._composer.idle_batch(answer.seen), stopping)

    async def _stream(self, _: asyncio.Event) -> None:
        known = self._random.random() < 0.5
        requests = [self._composer.update(known=known) for _ in range(self._random.randint(1, 20))]
        patience = self._patience()
        reason = await update_on_stream(
            self._recorder, self._stores[self._server], requests, patience
        )
        self._note_end(reason, patience)

    async def _read(self, _: asyncio.Event) -> None:
        await self._once(self._composer.read())

    async def _batched_read(self, _: asyncio.Event) -> None:
        await self._once(self._composer.batched_read())

    async def _late(self, stopping: asyncio.Event) -> None:
        known = self._random.random() < 0.5
        await self._send(self._composer.late(known=known), stopping)

    async def _idle(self, stopping: asyncio.Event) -> None:
        answer = await self._once(self._composer.read(), PATIENT)
        if not answer.seen:
            return
        seen = answer.seen[0]
        etag = seen.etag if self._random.random() < 0.7 else ""
        known = self._random.random() < 0.5
        await self._send(self._composer.idle(seen.key, etag, known=known), stopping)

    async def _rehearsal(self, _: asyncio.Event) -> None:
        await self._once(self._composer.rehearsal())

    async def _again(self, _: asyncio.Event) -> None:
        """Ask once more for what was answered."""
        if self._known is not None:
            await self._once(self._known)

    async def _reuse(self, stopping: asyncio.Event) -> None:
        if self._known is not None:
            await self._settle(self._composer.reuse(self._known), stopping)

    async def _invalid(self, _: asyncio.Event) -> None:
        await self._once(self._composer.invalid())

    async def _delete(self, stopping: asyncio.Event) -> None:
        await self._settle(self._composer.delete(), stopping)

    async def _erase(self, stopping: asyncio.Event) -> None:
        await self._settle(self._composer.erase(), stopping)

    async def _send(self, request: Request, stopping: asyncio.Event) -> Answer:
        """Until its outcome is known, if it has a request id; or else once."""
        if request.request_id:
            return await self._settle(request, stopping)
        return await self._once(request)

    async def _settle(self, request: Request, stopping: asyncio.Event) -> Answer:
        """Send a request with a request id again until its outcome is known."""
        tries = 1
        answer = await self._once(request)
        while not stopping.is_set() and _is_open(answer):
            await asyncio.sleep(self._random.uniform(0, _PAUSE_BETWEEN_TRIES * tries))
            tries += 1
            answer = await self._once(request, PATIENT if tries > _IMPATIENT_TRIES else None)
        if answer.verdict is Verdict.ACKNOWLEDGED and not request.reuses:
            self._known = request
        return answer

    async def _once(self, request: Request, patience: Patience | None = None) -> Answer:
        store = self._stores[self._server]
        patience = patience or self._patience()
        answer = await call(self._recorder, store, request, patience)
        self._note_end(answer.reason, patience)
        if _is_open(answer):
            self._server = (self._server + 1) % len(self._stores)
        return answer

    def _patience(self) -> Patience:
        patience = self._mood(self._random)
        if patience.cancel_after is not None:
            self.hurried["early cancels"] += 1
        elif patience.timeout < 1:
            self.hurried["short deadlines"] += 1
        return patience

    def _note_end(self, reason: str, patience: Patience) -> None:
        if patience == PATIENT:
            return
        if reason == CANCELLED:
            self.cut_short["ended by a cancel"] += 1
        elif reason == DEADLINE_EXCEEDED:
            self.cut_short["ended by a deadline"] += 1


def _is_open(answer: Answer) -> bool:
    return answer.verdict is Verdict.UNKNOWN or answer.reason in TRY_AGAIN


@asynccontextmanager
async def traffic(
    recorder: Recorder,
    addresses: Sequence[str],
    *,
    clients: int = 16,
    seed: int = 1,
    mood: Mood = patient,
    mix: Mapping[str, int] = USUAL,
) -> AsyncIterator[list[Client]]:
    """Clients at work for as long as the block lasts; each then ends what it has begun."""
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        crowd = []
        for number in range(clients):
            stores = [await stack.enter_async_context(connected(each)) for each in addresses]
            crowd.append(Client(number, seed, recorder, stores, mood, mix))
        working = [asyncio.create_task(client.run(stopping)) for client in crowd]
        try:
            yield crowd
        finally:
            stopping.set()
            await asyncio.gather(*working)
