"""How many bytes of aggregates a batch is about, and how many it may be about at a time.

Batches are counted in updates, and what they cost goes by bytes: each of 256 updates may be about
an aggregate of a megabyte. So most batches are light: they read no more than `LIGHT` bytes, and
leave what is larger unread. Commands about that are heavy from then on. They come in batches of
their own, of `HEAVY` bytes at a time, and one lane always is left for what is light.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, NamedTuple

from domain.entity_key import EntityKey
from domain.update import UpdateBatch
from repository.array_arguments import lines
from repository.connections.isolation import ReadCommittedPool
from repository.statements import WRITE
from repository.writing.pending_command import Pending, PendingCommand

LIGHT: Final = 4_194_304
"""Bytes of aggregates that a light batch reads at most, where it has not very many keys."""
HEAVY: Final = 8_388_608
"""Bytes of aggregates that a heavy batch reads, unless one command alone is about more."""

_LEAST: Final = 8_192
"""An aggregate of so many bytes is read whatever comes with it."""
_REMEMBERED: Final = LIGHT // 128
"""An aggregate of so many bytes is read in batches of the usual size."""
_MAX_REMEMBERED: Final = 16_384


def most_bytes(keys: int) -> int:
    """How large an aggregate may be to be read in a light batch about so many."""
    return max(_LEAST, LIGHT // keys)


class Weights:
    """Remembers which aggregates are large, so that commands about them are known to be heavy."""

    def __init__(self, readers: ReadCommittedPool) -> None:
        self._readers = readers
        self._bytes: OrderedDict[EntityKey, int] = OrderedDict()

    def of(self, keys: Iterable[EntityKey]) -> int:
        """As far as is remembered: a hint, and nothing else is built upon it."""
        if not self._bytes:
            return 0
        return sum(self._bytes.get(key, 0) for key in keys)

    async def weigh(self, keys: Iterable[EntityKey]) -> Mapping[EntityKey, int]:
        """The bytes of each of these aggregates that is there. Raises DatabaseUnavailable."""
        asked = sorted(set(keys))
        names = lines([key.entity_type for key in asked]), lines([key.entity_id for key in asked])
        records = await self._readers.read(WRITE.query("sizes"), *names)
        sizes = {asked[ordinal - 1]: int(size) for ordinal, size in records}
        self._remember(asked, sizes)
        return sizes

    async def note(self, unread: frozenset[EntityKey], commands: Iterable[PendingCommand]) -> None:
        """Make commands heavy about aggregates that were too large to be read."""
        sizes = await self.weigh(unread)
        for pending in commands:
            # It has a weight from now on, whatever became of its aggregates in between.
            weight = sum(sizes.get(key, 1) for key in unread.intersection(pending.keys))
            pending.weigh(max(pending.weight, weight))

    def _remember(self, asked: Sequence[EntityKey], sizes: Mapping[EntityKey, int]) -> None:
        for key in asked:
            self._bytes.pop(key, None)
            if sizes.get(key, 0) > _REMEMBERED:
                self._bytes[key] = sizes[key]
        while len(self._bytes) > _MAX_REMEMBERED:
            self._bytes.popitem(last=False)


class Admission(NamedTuple, Generic[Pending]):
    """What a heavy batch may be about at a time."""

    admitted: list[Pending]
    put_off: list[Pending]
    """What must come later, in order."""
    too_large: list[Pending]
    """What will never be admitted."""
    most: int
    """The largest aggregate that is admitted, in bytes."""


def admit(
    batch: Sequence[Pending], sizes: Mapping[EntityKey, int], batch_bytes: int
) -> Admission[Pending]:
    """Decide by what aggregates weigh now; what is put off knows its weight afterwards.

    `batch_bytes` is what one command may be about.
    """
    admitted: list[Pending] = []
    put_off: list[Pending] = []
    too_large: list[Pending] = []
    read: set[EntityKey] = set()
    held: set[EntityKey] = set()
    room = HEAVY
    for pending in batch:
        keys = pending.keys
        weight = sum(sizes.get(key, 0) for key in keys)
        pending.weigh(weight)
        added = sum(sizes.get(key, 0) for key in keys if key not in read)
        is_too_large = isinstance(pending.command, UpdateBatch) and weight > batch_bytes
        # What comes before it may delete the aggregates that make it too large.
        if is_too_large and read.isdisjoint(keys) and held.isdisjoint(keys):
            too_large.append(pending)
        elif is_too_large or not held.isdisjoint(keys) or (admitted and added > room):
            put_off.append(pending)
            held.update(keys)
        else:
            admitted.append(pending)
            read.update(keys)
            room -= added
    return Admission(admitted, put_off, too_large, max((sizes.get(k, 0) for k in read), default=0))
