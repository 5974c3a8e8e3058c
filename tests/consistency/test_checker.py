"""Each check finds what it is there for, and finds nothing in a story that is right."""

from collections.abc import Callable

import pytest

from tests.consistency.checker import CHECKS, check
from tests.consistency.operations import Seen, Verdict
from tests.consistency.story import Story


def told() -> Story:
    """A little of everything, as it should be."""
    story = Story()
    story.update("1", "a")
    story.update("2", "b")
    story.update("3", "a", etag=story.read("4", "a").etag)
    story.update("5", "a", "b")
    story.refuse("6", "a")
    story.update("7", "a", verdict=Verdict.UNKNOWN)
    story.miss("8", "b")
    story.delete("9", "b")
    story.read("10", "a", "b")
    story.update("11", "b")
    story.update("12", "b", late=True)
    story.refuse("13", "a", etag=story.read("14", "a").etag, while_updated_by="15")
    story.read("16", "b", "a")
    return story


def lose_an_acknowledged_update(story: Story) -> None:
    story.forget("15")


def apply_an_acknowledged_update_twice(story: Story) -> None:
    story.repeat("15")


def apply_an_unknown_update_twice(story: Story) -> None:
    story.repeat("7")


def apply_a_refused_update(story: Story) -> None:
    story.update("17", "a")
    story.change_answer("17", verdict=Verdict.REFUSED, seen=())


def change_something_for_nobody(story: Story) -> None:
    story.update("17", "a")
    story.withdraw("17")


def write_half_of_a_batch(story: Story) -> None:
    story.forget("5", "b")


def answer_with_another_version(story: Story) -> None:
    story.change_answer("15", seen=(Seen("a", 77, ""),))


def leave_out_a_version(story: Story) -> None:
    story.forget("7")


def let_the_clock_stand(story: Story) -> None:
    change, before = story.change("15"), story.change("7")
    change.commit_time.CopyFrom(before.commit_time)


def write_another_value(story: Story) -> None:
    story.change("3").features["value"].value.int64_value += 1


def store_another_state(story: Story) -> None:
    story.history.aggregates["a"].features["value"].value.int64_value += 1


def store_another_total(story: Story) -> None:
    story.history.aggregates["a"].features["total"].value.int64_value += 1


def commit_what_came_later_first(story: Story) -> None:
    story.swap_times("3", "15")


def give_one_etag_to_two_versions(story: Story) -> None:
    seen = story.answer("3").seen[0]
    story.change_answer("15", seen=(story.answer("15").seen[0]._replace(etag=seen.etag),))


def accept_an_old_etag(story: Story) -> None:
    story.update("17", "a", etag=story.answer("3").seen[0].etag)


def refuse_a_current_etag(story: Story) -> None:
    story.refuse("17", "a", etag=story.read("18", "a").etag)


def tear_a_read(story: Story) -> None:
    story.change_answer("14", seen=(story.answer("14").seen[0]._replace(digest="torn"),))


def read_what_never_was(story: Story) -> None:
    story.change_answer("14", seen=(story.answer("14").seen[0]._replace(version=99),))


def read_something_old(story: Story) -> None:
    story.read("17", "a")
    story.change_answer("17", seen=story.answer("4").seen)


def read_something_that_comes_later(story: Story) -> None:
    story.change_answer("4", seen=story.answer("16").seen[1:])


def read_two_times_at_once(story: Story) -> None:
    old_b = story.answer("10").seen[1]
    assert old_b.version == 0
    story.update("17", "c")
    old_c = story.read("18", "c")
    story.update("19", "c")
    story.update("20", "d")
    story.read("21", "c", "d", begun="18")
    story.change_answer("21", seen=(old_c, story.answer("21").seen[1]))


CASES: dict[str, list[Callable[[Story], None]]] = {
    "acknowledged_updates_are_there_once": [
        lose_an_acknowledged_update,
        apply_an_acknowledged_update_twice,
    ],
    "unknown_updates_are_there_at_most_once": [apply_an_unknown_update_twice],
    "refused_updates_are_not_there": [apply_a_refused_update],
    "every_change_was_asked_for": [change_something_for_nobody],
    "updates_of_many_aggregates_are_whole": [write_half_of_a_batch],
    "answers_tell_the_version_that_was_made": [answer_with_another_version],
    "versions_are_dense": [leave_out_a_version],
    "commit_times_rise": [let_the_clock_stand],
    "each_change_is_what_was_asked_for": [write_another_value],
    "stored_states_are_folds": [store_another_state],
    "counters_are_sums": [store_another_total],
    "real_time_order_holds": [commit_what_came_later_first],
    "an_etag_names_one_version": [give_one_etag_to_two_versions],
    "conditions_held": [accept_an_old_etag],
    "refusals_had_a_reason": [refuse_a_current_etag],
    "reads_are_committed_versions": [tear_a_read, read_what_never_was],
    "reads_are_never_old": [read_something_old],
    "reads_are_never_early": [read_something_that_comes_later],
    "batched_reads_are_one_snapshot": [read_two_times_at_once],
}


def test_a_story_that_is_right_has_no_violations() -> None:
    story = told()
    report = check(story.attempts, story.history)
    assert report.violations == {}
    assert report.changes == 10


@pytest.mark.parametrize(
    ("name", "tamper"), [(name, tamper) for name, tampers in CASES.items() for tamper in tampers]
)
def test_a_check_finds_what_it_is_there_for(name: str, tamper: Callable[[Story], None]) -> None:
    story = told()
    tamper(story)
    assert name in check(story.attempts, story.history).violations


def test_every_check_has_a_case() -> None:
    assert set(CASES) == {check.__name__ for check in CHECKS}
