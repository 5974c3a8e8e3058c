"""The schedule: whatever arrives, commits, loses and goes away, nothing overtakes and all end."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.entity_key import EntityKey
from domain.outcome import Outcome
from domain.update import Command, Deletion, Update, UpdateBatch, keys_of
from repository.pipeline.schedule import Schedule
from repository.pipeline.submission import Submission
from repository.writing.weighing import HEAVY
from tests.kit.samples import entity, put, update

LIMIT = 4
KEYS = [entity(name) for name in "abcd"]


def command_about(keys: Sequence[EntityKey]) -> Command:
    updates = tuple(update(put("f", 1), key=key) for key in keys)
    return updates[0] if len(updates) == 1 else UpdateBatch(updates=updates)


Batch: TypeAlias = list[Submission]


class ScheduleMachine(RuleBasedStateMachine):
    """Lanes take batches of what waits, and give back what they lose."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.schedule = Schedule()
        self.open: list[Submission] = []
        """What is not committed, in the order of arrival."""
        self.under_way: list[list[Batch]] = []
        """What lanes commit: a batch, and perhaps one right behind it."""

    def teardown(self) -> None:
        while self.under_way:
            self.a_batch_ends(which=0, lost=set())
        while self.take(LIMIT):
            self.a_batch_ends(which=0, lost=set())
        self.loop.close()
        assert not [each for each in self.open if is_live(each)], "something is never taken"
        assert len(self.schedule) == 0

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    def a_command_arrives(self, keys: list[EntityKey]) -> None:
        self.arrives(command_about(keys))

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
        part=st.sampled_from([3, 2, 1]),
    )
    def a_heavy_command_arrives(self, keys: list[EntityKey], part: int) -> None:
        self.arrives(command_about(keys), weight=HEAVY // part)

    @rule(key=st.sampled_from(KEYS))
    def an_erasure_arrives(self, key: EntityKey) -> None:
        self.arrives(Deletion(key=key, erase_history=True))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_caller_goes_away(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.open)).answer.cancel()

    @rule(share=st.integers(1, LIMIT))
    def a_lane_takes_a_batch(self, share: int) -> None:
        self.take(share)

    @rule(share=st.integers(1, LIMIT))
    def a_lane_takes_what_is_light(self, share: int) -> None:
        self.take(share, heavy=False)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 3), share=st.integers(1, LIMIT))
    def a_batch_comes_right_behind_another(self, which: int, share: int) -> None:
        lane = self.under_way[which % len(self.under_way)]
        if len(lane) == 1:
            behind = self.taken(share, lane[0])
            if behind:
                lane.append(behind)

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 3),
        lost=st.sets(st.sampled_from(KEYS)),
        weight=st.sampled_from([0, HEAVY // 2]),
    )
    def a_batch_ends(self, which: int, lost: set[EntityKey], weight: int = 0) -> None:
        lane = self.under_way.pop(which % len(self.under_way))
        batch = lane.pop(0)
        held, undecided = set(lost), []
        for submission in batch:
            keys = keys_of(submission.command)
            if held.isdisjoint(keys):
                self.open.remove(submission)
            else:
                held.update(keys)
                undecided.append(submission)
                submission.weigh(max(submission.weight, weight))
        ended = keys_in([batch])
        if undecided and lane:
            behind = lane.pop()
            undecided += behind
            ended |= keys_in([behind])
        self.schedule.put_back(undecided)
        self.schedule.release(ended - keys_in(lane))
        if lane:
            self.under_way.append(lane)

    @invariant()
    def a_key_is_in_one_lane_at_a_time(self) -> None:
        keys_of_lanes = [keys_in(lane) for lane in self.under_way]
        assert sum(map(len, keys_of_lanes)) == len(set().union(*keys_of_lanes))

    @invariant()
    def what_can_be_taken_is_ready(self) -> None:
        lines, busy = self.schedule._lines, set().union(*map(keys_in, self.under_way))
        for line in lines.values():
            keys = line[0].keys
            if busy.isdisjoint(keys) and all(lines[key][0] is line[0] for key in keys):
                assert self.schedule.has_ready

    @invariant()
    def it_knows_how_many_wait_at_most(self) -> None:
        under_way = sum(len(batch) for lane in self.under_way for batch in lane)
        live = [each for each in self.open if is_live(each)]
        assert len(live) - under_way <= len(self.schedule) <= len(self.open) - under_way

    def arrives(self, command: Command, weight: int = 0) -> None:
        answer: asyncio.Future[Outcome] = self.loop.create_future()
        submission = Submission(command, answer, 0.0)
        submission.weigh(weight)
        self.open.append(submission)
        self.schedule.put(submission)

    def take(self, share: int, heavy: bool = True) -> bool:
        batch = self.taken(share, heavy=heavy)
        if batch:
            self.under_way.append([batch])
        return bool(batch)

    def taken(self, share: int, ahead: Batch | None = None, *, heavy: bool = True) -> Batch:
        behind = keys_in([ahead]) if ahead else ()
        batch = self.schedule.take(LIMIT, share, is_live, behind, heavy=heavy)
        assert all(map(is_live, batch))
        assert sum(map(_size, batch[:-1])) < LIMIT
        erasures = sum(isinstance(each.command, Deletion) for each in batch)
        assert not erasures or (heavy and len(batch) == 1)
        self.is_of_one_sort(batch, heavy and ahead is None)
        passed = list(ahead or ())
        for submission in batch:
            self.must_not_overtake(submission, passed)
            passed.append(submission)
        return batch

    def is_of_one_sort(self, batch: Batch, heavy: bool) -> None:
        """What is heavy comes without what is light, but for what is about the same keys."""
        if not any(each.is_heavy for each in batch):
            return
        assert heavy
        assert batch[0].is_heavy
        read: set[EntityKey] = set()
        weight = 0
        for number, submission in enumerate(batch):
            keys = set(submission.keys)
            if not keys <= read:
                assert submission.is_heavy
                weight += submission.weight
                assert number == 0 or weight <= HEAVY
            read |= keys

    def must_not_overtake(self, submission: Submission, passed: Batch) -> None:
        keys = keys_of(submission.command)
        for earlier in self.open[: self.open.index(submission)]:
            if is_live(earlier) and not set(keys).isdisjoint(keys_of(earlier.command)):
                assert earlier in passed


def keys_in(batches: Iterable[Batch]) -> set[EntityKey]:
    return {key for batch in batches for each in batch for key in keys_of(each.command)}


def is_live(submission: Submission) -> bool:
    return not submission.answer.done()


def _size(submission: Submission) -> int:
    command = submission.command
    return 1 if isinstance(command, Update) else len(keys_of(command))


TestTheScheduleKeepsItsPromises = ScheduleMachine.TestCase
TestTheScheduleKeepsItsPromises.settings = settings(max_examples=100, stateful_step_count=30)


async def test_what_waited_behind_somebody_who_went_away_is_ready() -> None:
    schedule, loop = Schedule(), asyncio.get_running_loop()
    here, there = KEYS[:2]

    def arrives(*keys: EntityKey) -> Submission:
        submission = Submission(command_about(list(keys)), loop.create_future(), 0.0)
        schedule.put(submission)
        return submission

    ahead = arrives(here)
    assert schedule.take(9, 9, is_live) == [ahead]
    gone, next_here, next_there = arrives(here, there), arrives(here), arrives(there)
    assert schedule.take(9, 9, is_live) == []
    gone.answer.cancel()
    assert schedule.take(9, 1, is_live, behind={here}) == [next_here]
    assert schedule.take(9, 9, is_live) == [next_there]


async def test_commands_of_several_keys_do_not_make_a_batch_larger_than_its_share() -> None:
    schedule, loop = Schedule(), asyncio.get_running_loop()
    commands = [Submission(command_about(KEYS[:2]), loop.create_future(), 0.0) for _ in range(5)]
    for command in commands:
        schedule.put(command)
    batch = schedule.take(limit=9, share=5, is_live=is_live)
    assert batch == commands[:2]
    assert schedule.take(limit=9, share=1, is_live=is_live, behind=KEYS[:2]) == commands[2:3]
    schedule.release(KEYS[:2])
    assert schedule.take(limit=9, share=5, is_live=is_live) == commands[3:]


async def test_what_is_heavy_and_what_is_light_lock_keyss_in_one_lane() -> None:
    schedule, loop = Schedule(), asyncio.get_running_loop()
    commands = [Submission(command_about([key]), loop.create_future(), 0.0) for key in KEYS]
    for command in commands[:2]:
        command.weigh(HEAVY)
    for command in commands:
        schedule.put(command)
    batches = [schedule.take(limit=9, share=1, is_live=is_live) for _ in commands]
    assert [batch[0].is_heavy for batch in batches] == [True, False, True, False]


async def test_light_commands_pass_what_waits_for_a_lane_that_takes_heavy_ones() -> None:
    schedule, loop = Schedule(), asyncio.get_running_loop()
    heavy, light = (Submission(command_about([k]), loop.create_future(), 0.0) for k in KEYS[:2])
    heavy.weigh(1)
    schedule.put(heavy)
    schedule.put(light)
    assert schedule.take(9, 9, is_live, heavy=False) == [light]
    assert schedule.take(9, 9, is_live, heavy=False) == []
    assert schedule.take(9, 9, is_live) == [heavy]
