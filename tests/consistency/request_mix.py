"""What clients do: a mix of everything that can go wrong."""

import random
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tests.consistency.operations import (
    ABSENT_FEATURE,
    CONSTANT,
    MARK,
    TOTAL,
    Kind,
    Part,
    Request,
    Seen,
    Step,
)

HOT: Final = ("hot-0", "hot-1")
"""Take every second operation."""
MORTAL: Final = ("mortal-0", "mortal-1")
"""Are deleted now and then."""
FORGOTTEN: Final = "forgotten"
"""Is deleted now and then with all its history."""
KEYS: Final = (*HOT, *(f"warm-{number}" for number in range(6)), *MORTAL, FORGOTTEN)

LONG_AGO: Final = 1
"""An event time before all others."""
THE_SAME: Final = Step(CONSTANT, "set", 7, LONG_AGO)
"""Whoever makes an aggregate makes it with this, and nobody ever changes it."""

_VECTOR: Final = 6
_RECENT: Final = 5
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

    def update_of_forgotten(self) -> Request:
        """An update of the aggregate that is erased now and then."""
        return self._update([FORGOTTEN], request_id=self._request_id())

    def conditional(self, key: str, etag: str) -> Request:
        """An update of exactly the version that an etag names."""
        return self._update([key], etag=etag, request_id=self._request_id())

    def creation(self, *, known: bool) -> Request:
        """An update that makes an aggregate, of one that comes and goes mostly, or is refused; now
        and then together with one of another aggregate."""
        chance = self._random
        mortal = chance.choice((*MORTAL, FORGOTTEN))
        key = mortal if chance.random() < 0.8 else self._key()
        keys = [key, chance.choice(HOT)] if key == mortal and chance.random() < 0.2 else [key]
        request = self._update(keys, request_id=self._request_id() if known else "")
        first, *others = request.parts
        return request._replace(parts=(first._replace(must_be_absent=True), *others))

    def batch(self, *, known: bool) -> Request:
        """An update of several aggregates."""
        keys = self._random.sample(KEYS, self._random.randint(2, 4))
        return self._update(keys, request_id=self._request_id() if known else "")

    def conditional_batch(self, versions: Sequence[Seen], *, known: bool) -> Request:
        """An update of aggregates that were read, some only as they were read, some left as they
        are."""
        name = self._name()
        parts = tuple(self._part_of_batch(name, seen) for seen in versions)
        request_id = self._request_id() if known else ""
        return Request(name, self._client, Kind.UPDATE, parts, request_id)

    def idle_batch(self, versions: Sequence[Seen]) -> Request:
        """An update that leaves several aggregates as they are."""
        parts = tuple(Part(seen.key, self._idle_steps("")) for seen in versions)
        return Request(self._name(), self._client, Kind.UPDATE, parts)

    def late(self, *, known: bool) -> Request:
        """An update that comes too late as a whole, if the aggregate is there."""
        name = self._name()
        part = Part(self._key(), _late_steps(name))
        request_id = self._request_id() if known else ""
        return Request(name, self._client, Kind.UPDATE, (part,), request_id)

    def idle(self, key: str, etag: str, *, known: bool) -> Request:
        """An update that leaves an aggregate as it is, if it is there."""
        part = Part(key, self._idle_steps(etag), etag)
        request_id = self._request_id() if known else ""
        return Request(self._name(), self._client, Kind.UPDATE, (part,), request_id)

    def rehearsal(self) -> Request:
        """An update that is only to be checked."""
        return self._update([self._key()])._replace(validate_only=True)

    def reuse(self, first: Request) -> Request:
        """Another update under the request id of one that was acknowledged."""
        request = self._update([self._random.choice(first.parts).key], request_id=first.request_id)
        return request._replace(reuses=first.operation)

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

    def erase(self) -> Request:
        """A deletion with all history."""
        parts = (Part(FORGOTTEN),)
        return Request(
            self._name(), self._client, Kind.DELETE, parts, self._request_id(), erase_history=True
        )

    def read(self, key: str = "") -> Request:
        return self._read([key or self._key()])

    def batched_read(self, most: int = len(KEYS)) -> Request:
        return self._read(self._random.sample(KEYS, self._random.randint(2, most)))

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
        steps = [Step(MARK, "set", name), Step(TOTAL, "increment", chance.randint(1, 5)), THE_SAME]
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

    def _part_of_batch(self, name: str, seen: Seen) -> Part:
        chance = self._random
        etag = seen.etag if chance.random() < 0.6 else ""
        sort = chance.choice(["changes", "changes", "late", "idle", "idle"])
        if sort == "changes":
            return Part(seen.key, self._steps(name), etag)
        if sort == "late":
            return Part(seen.key, _late_steps(name), etag)
        return Part(seen.key, self._idle_steps(etag), etag)

    def _idle_steps(self, etag: str) -> tuple[Step, ...]:
        # Without an etag the aggregate may be gone by now, and the value would make another one.
        equal = etag and self._random.random() < 0.5
        return (THE_SAME,) if equal else (Step(ABSENT_FEATURE, "remove"),)

    def _key(self) -> str:
        return self._random.choice(HOT if self._random.random() < 0.5 else KEYS)

    def _name(self) -> str:
        self._made += 1
        return f"{self._client}-{self._made}"

    def _request_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _late_steps(name: str) -> tuple[Step, ...]:
    return (Step(MARK, "set", name, LONG_AGO), THE_SAME)
