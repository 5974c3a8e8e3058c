"""A short story that is right, and ways to make it wrong."""

from tests.consistency.operations import Seen, Verdict
from tests.consistency.scenario import Story


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
    story.leave("30", "a", etag=story.read("31", "a").etag)
    story.rehearse("32", "a")
    story.update("33", "a", "b")
    story.ask_again("33")
    story.reuse("34", "33")
    story.update("35", "e")
    story.delete("36", "e", erase=True)
    story.update("37", "e")
    story.refuse("50", "g", must_be_absent=True, while_updated_by="51")
    story.delete("52", "g")
    story.update("53", "g", must_be_absent=True)
    story.refuse("54", "g", must_be_absent=True)
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


def answer_with_another_time(story: Story) -> None:
    seen = story.answer("15").seen[0]
    story.change_answer("15", seen=(seen._replace(update_time=seen.update_time + 1),))


def keep_quiet_about_a_late_value(story: Story) -> None:
    story.change_answer("12", seen=(story.answer("12").seen[0]._replace(stale=()),))


def apply_a_rehearsal(story: Story) -> None:
    story.repeat("32")


def rehearse_on_an_old_version(story: Story) -> None:
    seen = story.answer("32").seen[0]
    story.change_answer("32", seen=(seen._replace(version=seen.version - 1),))


def give_an_etag_to_a_rehearsal(story: Story) -> None:
    seen = story.answer("32").seen[0]
    story.change_answer("32", seen=(seen._replace(etag="of what is not there"),))


def leave_an_old_version(story: Story) -> None:
    seen = story.answer("30").seen[0]
    story.change_answer("30", seen=(seen._replace(version=seen.version - 1),))


def leave_another_version_than_the_etag_names(story: Story) -> None:
    story.leave("38", "a", etag=story.answer("3").seen[0].etag)


def replay_another_answer(story: Story) -> None:
    first, second = story.answer("33").seen
    story.change_answer("33", seen=(first, second._replace(stale=("value",))))


def answer_a_replay_as_if_it_were_the_first(story: Story) -> None:
    story.update("38", "a")
    story.ask_again("38")
    again = story.attempts[-1]
    story.attempts[-1] = again._replace(answer=story.answer("38"))


def replay_what_has_no_request_id(story: Story) -> None:
    story.change_answer("15", seen=(story.answer("15").seen[0]._replace(replayed=True),))


def apply_a_reused_request_id(story: Story) -> None:
    story.repeat("34")


def refuse_a_reused_request_id_for_another_reason(story: Story) -> None:
    story.change_answer("34", reason="INVALID_VALUE")


def keep_what_was_to_be_erased(story: Story) -> None:
    story.update("38", "e")
    left = story.history.entries["e"][:]
    story.delete("39", "e", erase=True)
    story.history.entries["e"][:0] = left


def replay_what_was_erased(story: Story) -> None:
    story.update("38", "e")
    story.delete("39", "e", erase=True)
    story.ask_again("38")


def show_half_of_a_batch(story: Story) -> None:
    old = story.read("40", "a", "b")
    assert old.version
    story.update("41", "a", "b")
    story.read("42", "a", "b", begun="40")
    new_a, _ = story.answer("42").seen
    _, old_b = story.answer("40").seen
    story.change_answer("42", seen=(new_a, old_b))


def show_half_of_a_batch_that_made_an_aggregate(story: Story) -> None:
    story.read("40", "a", "f")
    story.update("41", "a", "f")
    story.read("42", "a", "f", begun="40")
    new_a, _ = story.answer("42").seen
    story.change_answer("42", seen=(new_a, Seen("f", 0, "")))


def leave_what_has_gone_on_meanwhile(story: Story) -> None:
    etag = story.read("40", "b").etag
    story.update("41", "b")
    story.update("42", "a")
    story.update("43", "a", "c")
    story.add_part("43", "b", etag)


def show_what_went_on_before_a_batch_that_left_it(story: Story) -> None:
    etag = story.read("40", "b").etag
    story.update("41", "a", "c")
    story.add_part("41", "b", etag)
    story.update("42", "b")
    story.read("43", "a", "b", begun="41")
    _, new_b = story.answer("43").seen
    story.change_answer("43", seen=(story.answer("14").seen[0], new_b))


def leave_out_a_version(story: Story) -> None:
    story.forget("7")


def let_the_clock_stand(story: Story) -> None:
    change, before = story.change("15"), story.change("7")
    change.commit_time.CopyFrom(before.commit_time)


def make_anew_at_a_time_before_the_end(story: Story) -> None:
    story.update("56", "g", overtaken_by="55")
    late = story.attempts[-1]
    story.attempts[-1] = late._replace(invoked=late.returned + 1, returned=late.returned + 2)


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


def create_what_exists(story: Story) -> None:
    story.update("55", "g", must_be_absent=True)


def refuse_what_never_was(story: Story) -> None:
    story.refuse("55", "h", must_be_absent=True)


def refuse_what_was_deleted(story: Story) -> None:
    story.delete("55", "g")
    story.refuse("56", "g", must_be_absent=True)
    story.update("57", "g")


def accept_an_etag_from_before_a_failover(story: Story) -> None:
    etag = story.read("17", "a").etag
    story.fail_over()
    story.update("18", "a", etag=etag)


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
