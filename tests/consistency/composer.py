"""What clients do: a mix of everything that can go wrong."""

import random
import time
from typing import Final
from uuid import UUID

from tests.consistency.operations import MARK, TOTAL, Kind, Part, Request, Step

HOT: Final = ("hot-0", "hot-1")
"""Take every second operation."""
MORTAL: Final = ("mortal-0", "mortal-1")
"""Are deleted now and then."""
KEYS: Final = (*HOT, *(f"warm-{number}" for number in range(6)), *MORTAL)

_VECTOR: Final = 6
_RECENT: Final = 5
_LONG_AGO: Final = 1
_MINUTE: Final = 60_000_000_000


class Composer:
    """Makes the requests of one client."""

    def __init__(self, client: int, seed: int) -> None:
        self._client = client
        self._random = random.Random(f"{seed}/{client}")
        self._made = 0
        self._started = time.time_ns()

    def update(self, *, known: bool) -> Request:
        """An update of one aggregate; `known` by a request id, or not."""
        return self._update([self._key()], request_id=self._request_id() if known else "")

    def conditional(self, key: str, etag: str) -> Request:
        """An update of exactly the version that an etag names."""
        return self._update([key], etag=etag, request_id=self._request_id())

    def batch(self) -> Request:
        """An update of several aggregates."""
        keys = self._random.sample(KEYS, self._random.randint(2, 4))
        return self._update(keys, request_id=self._request_id())

    def late(self, *, known: bool) -> Request:
        """An update that comes too late as a whole, if the aggregate is there."""
        name = self._name()
        part = Part(self._key(), (Step(MARK, "set", name, event_time=_LONG_AGO),))
        request_id = self._request_id() if known else ""
        return Request(name, self._client, Kind.UPDATE, (part,), request_id)

    def invalid(self) -> Request:
        """An update of which only the last step is wrong: it names a feature twice."""
        request = self._update([self._key()])
        (part,) = request.parts
        return request._replace(parts=(part._replace(steps=(*part.steps, part.steps[0])),))

    def delete(self) -> Request:
        key = self._random.choice(MORTAL)
        return Request(
            self._name(), self._client, Kind.DELETE, (Part(key),), request_id=self._request_id()
        )

    def read(self, key: str = "") -> Request:
        return self._read([key or self._key()])

    def batched_read(self) -> Request:
        return self._read(self._random.sample(KEYS, self._random.randint(2, len(KEYS))))

    def _read(self, keys: list[str]) -> Request:
        parts = tuple(Part(key) for key in keys)
        return Request(self._name(), self._client, Kind.READ, parts)

    def _update(self, keys: list[str], *, etag: str = "", request_id: str = "") -> Request:
        name = self._name()
        parts = tuple(Part(key, self._steps(name), etag) for key in keys)
        return Request(name, self._client, Kind.UPDATE, parts, request_id)

    def _steps(self, name: str) -> tuple[Step, ...]:
        chance = self._random
        number = chance.getrandbits(40)
        steps = [Step(MARK, "set", name), Step(TOTAL, "increment", chance.randint(1, 5))]
        steps += [Step(f"vector_{place}", "set", number) for place in range(_VECTOR)]
        steps += [
            Step(f"by_{self._client}", "increment", 1),
            Step("largest", "maximum", number),
            Step("recent", "append", name, max_length=_RECENT),
            # Comes late as often as not.
            Step("observed", "set", number, self._started + chance.randint(0, _MINUTE)),
        ]
        passing = "remove" if chance.random() < 0.5 else "set"
        steps.append(Step("passing", passing, number if passing == "set" else None))
        return tuple(steps)

    def _key(self) -> str:
        return self._random.choice(HOT if self._random.random() < 0.5 else KEYS)

    def _name(self) -> str:
        self._made += 1
        return f"{self._client}-{self._made}"

    def _request_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
