"""Which commands may go into the next batch.

A key is in one batch at a time, and commands that share a key keep their order; so batches that are
under way at the same time never touch the same row. A hot key fills batches of its own while other
lanes serve the others, and a command about several keys waits until it is first in line for each.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain

from domain.entity_key import EntityKey
from repository.writing.submission import Submission


class Schedule:
    """Commands that wait, in line for each of their keys."""

    def __init__(self) -> None:
        self._lines: dict[EntityKey, deque[Submission]] = {}
        self._busy: set[EntityKey] = set()
        # Keys that may have something to give, in the order in which they became ready. One that
        # has not is left out until it is released, or the line of a key beside it moves up.
        self._ready: OrderedDict[EntityKey, None] = OrderedDict()
        self._put_off: list[EntityKey] = []
        """Keys with a command that must be alone, for which there was no lane."""
        self._waiting = 0
        self.updates = 0
        """How many updates wait: a batch of them is one command."""

    def __len__(self) -> int:
        """How many commands wait."""
        return self._waiting

    def __iter__(self) -> Iterator[Submission]:
        """The commands that wait; one about several keys comes again for each."""
        return chain.from_iterable(self._lines.values())

    @property
    def has_ready(self) -> bool:
        """Whether `take` may find something."""
        return bool(self._ready)

    def put(self, submission: Submission) -> None:
        """Let a command wait behind those that came before it."""
        self._waiting += 1
        self.updates += submission.size
        waits = False
        for key in submission.keys:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = deque()
                waits = waits or key in self._busy
            else:
                waits = True
            line.append(submission)
        # One that waits for others is found when these are taken or released.
        if not waits:
            self._ready[submission.keys[0]] = None

    def take(
        self,
        limit: int,
        share: int,
        is_live: Callable[[Submission], bool],
        behind: Collection[EntityKey] = (),
        *,
        alone: bool = True,
    ) -> list[Submission]:
        """Take the next batch: as many lines as give it `share` updates, or one of up to `limit`,
        or, if `alone`, a command that must be so.

        The keys of the batch are busy until they are released. Commands that are not live any more
        are dropped on the way. With `behind`, these lines are taken although their keys are busy.
        """
        batch: list[Submission] = []
        taken: set[EntityKey] = set()
        beside: set[EntityKey] = set()
        size, line = 0, None
        ready = OrderedDict.fromkeys(behind) if behind else self._ready
        while ready:
            key = next(iter(ready))
            submission = self._first(key, behind)
            if submission is None:
                del ready[key]
                continue
            if submission.alone and not alone and is_live(submission):
                del ready[key]
                self._put_off.append(key)
                continue
            keys, updates = submission.keys, submission.size
            if batch and (size >= (limit if key == line else share)):
                break
            if batch and (submission.alone or (len(keys) > 1 and size + updates > share)):
                break
            self._remove(submission, keys)
            line = key
            if is_live(submission):
                batch.append(submission)
                taken.update(keys)
                size += updates
                if submission.alone:
                    limit = share = 0
            # These lines have moved up, and are free or ours.
            for moved in keys:
                ready.setdefault(moved)
            beside.update(keys)
        self._busy |= taken
        for key in taken:
            self._ready.pop(key, None)
        for key in beside - self._busy:
            self._ready.setdefault(key)
        return batch

    def put_back(self, submissions: Sequence[Submission]) -> None:
        """Let commands of busy keys wait again, before all others."""
        for submission in reversed(submissions):
            self._waiting += 1
            self.updates += submission.size
            for key in submission.keys:
                self._lines.setdefault(key, deque()).appendleft(submission)

    def release(self, keys: Iterable[EntityKey]) -> None:
        """Let these keys go into another batch."""
        for key in keys:
            self._busy.discard(key)
            if key in self._lines:
                self._ready[key] = None

    def let_alone(self) -> None:
        """Let `take` find again what it has put off, as it must be alone."""
        for key in self._put_off:
            self._ready.setdefault(key)
        self._put_off.clear()

    def behind(self, keys: Iterable[EntityKey]) -> int:
        """About how many commands wait for these keys, which are busy."""
        return sum(len(self._lines.get(key, ())) for key in keys)

    def _first(self, key: EntityKey, behind: Collection[EntityKey]) -> Submission | None:
        """The command at the head of a line, if it heads all its lines and they may be taken."""
        line = self._lines.get(key)
        if not line:
            return None
        submission = line[0]
        for other in submission.keys:
            if other in self._busy and other not in behind:
                return None
            if self._lines[other][0] is not submission:
                return None
        return submission

    def _remove(self, submission: Submission, keys: Iterable[EntityKey]) -> None:
        self._waiting -= 1
        self.updates -= submission.size
        for key in keys:
            line = self._lines[key]
            line.popleft()
            if not line:
                del self._lines[key]
