"""Which commands may go into the next batch.

A key is in one batch at a time, and commands that share a key keep their order; so batches that are
under way at the same time never touch the same row. A hot key fills batches of its own while other
lanes serve the others, and a command about several keys waits until it is first in line for each.

What is heavy comes in batches of its own, and what is light does not wait for a lane that takes it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain

from domain.entity_key import EntityKey
from repository.pipeline.submission import Submission
from repository.writing.weighing import HEAVY


class Schedule:
    """Commands that wait, in line for each of their keys."""

    def __init__(self) -> None:
        self._lines: dict[EntityKey, deque[Submission]] = {}
        self._busy: set[EntityKey] = set()
        # Keys that may have something to give, in the order in which they became ready. One that
        # has not is left out until it is released, or the line of a key beside it moves up.
        self._light: OrderedDict[EntityKey, None] = OrderedDict()
        self._heavy: OrderedDict[EntityKey, None] = OrderedDict()
        """The same, where the command at the head of the line is heavy."""
        self._was_heavy = False
        """Whether the batch before was: they take turns, where a lane may do both."""
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
        return bool(self._light or self._heavy)

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
            ready = self._heavy if submission.is_heavy else self._light
            ready.setdefault(submission.keys[0])

    def take(
        self,
        limit: int,
        share: int,
        is_live: Callable[[Submission], bool],
        behind: Collection[EntityKey] = (),
        *,
        heavy: bool = True,
    ) -> list[Submission]:
        """Take the next batch: as many lines as give it `share` updates, or one of up to `limit`;
        or, if `heavy`, perhaps one of what is heavy.

        The keys of the batch are busy until they are released. Commands that are not live any more
        are dropped on the way. With `behind`, light commands of these lines are taken although
        their keys are busy.
        """
        if behind:
            ready = OrderedDict.fromkeys(behind)
            return self._take(limit, share, is_live, ready, behind, heavy=False)
        turn = heavy and not self._was_heavy
        # What goes away may leave the line to what belongs into the other sort of batch.
        while self.has_ready if heavy else self._light:
            ready = self._heavy if turn else self._light
            if batch := self._take(limit, share, is_live, ready, heavy=turn):
                self._was_heavy = turn
                return batch
            turn = heavy and not turn
        return []

    def _take(
        self,
        limit: int,
        share: int,
        is_live: Callable[[Submission], bool],
        ready: OrderedDict[EntityKey, None],
        behind: Collection[EntityKey] = (),
        *,
        heavy: bool,
    ) -> list[Submission]:
        """Take a batch of one sort from the lines of the keys that are `ready`."""
        batch: list[Submission] = []
        taken: set[EntityKey] = set()
        beside: set[EntityKey] = set()
        size, weight, line = 0, 0, None
        while ready:
            key = next(iter(ready))
            submission = self._first(key, behind)
            if submission is None:
                del ready[key]
                continue
            keys, updates = submission.keys, submission.size
            is_read = heavy and taken.issuperset(keys)
            if submission.is_heavy != heavy and not is_read and is_live(submission):
                del ready[key]
                if not behind:
                    self._make_ready(key)
                continue
            if batch and (size >= (limit if key == line else share)):
                break
            if batch and (submission.alone or (len(keys) > 1 and size + updates > share)):
                break
            if batch and not is_read and weight + submission.weight > HEAVY:
                break
            self._remove(submission, keys)
            line = key
            if is_live(submission):
                batch.append(submission)
                taken.update(keys)
                size += updates
                weight += 0 if is_read else submission.weight
                if submission.alone:
                    limit = share = 0
            else:
                beside.update(keys)
            # These lines have moved up, and are free or ours.
            for moved in keys:
                if moved in self._lines:
                    ready.setdefault(moved)
                else:
                    ready.pop(moved, None)
        self._busy |= taken
        for queue in (self._light, self._heavy):
            if queue:
                for key in taken:
                    queue.pop(key, None)
        for key in beside - self._busy:
            self._make_ready(key)
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
                self._make_ready(key)

    def behind(self, keys: Iterable[EntityKey]) -> int:
        """About how many commands wait for these keys, which are busy."""
        return sum(len(self._lines.get(key, ())) for key in keys)

    def _make_ready(self, key: EntityKey) -> None:
        """Let `take` look at a line where what is at its head belongs, if there is one."""
        line = self._lines.get(key)
        if line:
            ready = self._heavy if line[0].is_heavy else self._light
            ready.setdefault(key)

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
