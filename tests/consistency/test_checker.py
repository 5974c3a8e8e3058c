"""Each check finds what it is there for, and finds nothing in a story that is right."""

from collections.abc import Callable

import pytest

from tests.consistency.checker import CHECKS, check
from tests.consistency.scenario import Story
from tests.consistency.tampering import (
    accept_an_etag_from_before_a_failover,
    accept_an_old_etag,
    answer_a_replay_as_if_it_were_the_first,
    answer_with_another_time,
    answer_with_another_version,
    apply_a_refused_update,
    apply_a_rehearsal,
    apply_a_reused_request_id,
    apply_an_acknowledged_update_twice,
    apply_an_unknown_update_twice,
    change_something_for_nobody,
    commit_what_came_later_first,
    create_what_exists,
    give_an_etag_to_a_rehearsal,
    give_one_etag_to_two_versions,
    keep_quiet_about_a_late_value,
    keep_what_was_to_be_erased,
    leave_an_old_version,
    leave_another_version_than_the_etag_names,
    leave_out_a_version,
    leave_what_has_gone_on_meanwhile,
    let_the_clock_stand,
    lose_an_acknowledged_update,
    make_anew_at_a_time_before_the_end,
    read_something_old,
    read_something_that_comes_later,
    read_two_times_at_once,
    read_what_never_was,
    refuse_a_current_etag,
    refuse_a_reused_request_id_for_another_reason,
    refuse_what_never_was,
    refuse_what_was_deleted,
    rehearse_on_an_old_version,
    replay_another_answer,
    replay_what_has_no_request_id,
    replay_what_was_erased,
    show_half_of_a_batch,
    show_half_of_a_batch_that_made_an_aggregate,
    show_what_went_on_before_a_batch_that_left_it,
    store_another_state,
    store_another_total,
    tear_a_read,
    told,
    write_another_value,
    write_half_of_a_batch,
)

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
    "answers_tell_when_and_what_was_late": [
        answer_with_another_time,
        keep_quiet_about_a_late_value,
    ],
    "rehearsals_change_nothing": [apply_a_rehearsal],
    "rehearsals_tell_what_would_come": [rehearse_on_an_old_version],
    "rehearsals_give_no_etag": [give_an_etag_to_a_rehearsal],
    "what_is_left_as_it_was_is_current": [leave_an_old_version],
    "a_replay_equals_the_first_answer": [replay_another_answer],
    "one_answer_is_the_first": [
        answer_a_replay_as_if_it_were_the_first,
        replay_what_has_no_request_id,
    ],
    "reused_request_ids_are_refused": [
        apply_a_reused_request_id,
        refuse_a_reused_request_id_for_another_reason,
    ],
    "versions_are_dense": [leave_out_a_version],
    "commit_times_rise": [let_the_clock_stand, make_anew_at_a_time_before_the_end],
    "each_change_is_what_was_asked_for": [write_another_value],
    "stored_states_are_folds": [store_another_state],
    "counters_are_sums": [store_another_total],
    "real_time_order_holds": [commit_what_came_later_first],
    "an_etag_names_one_version": [give_one_etag_to_two_versions],
    "conditions_held": [accept_an_old_etag],
    "what_was_left_as_it_was_had_the_etag": [leave_another_version_than_the_etag_names],
    "refusals_had_a_reason": [refuse_a_current_etag],
    "no_etag_outlives_a_failover": [accept_an_etag_from_before_a_failover],
    "what_must_be_absent_was_absent": [create_what_exists],
    "who_was_refused_as_it_exists_met_it": [refuse_what_never_was, refuse_what_was_deleted],
    "reads_are_committed_versions": [tear_a_read, read_what_never_was],
    "reads_are_never_old": [read_something_old],
    "reads_are_never_early": [read_something_that_comes_later],
    "what_is_seen_together_stood_together": [
        read_two_times_at_once,
        leave_what_has_gone_on_meanwhile,
    ],
    "no_half_of_a_batch_is_seen": [
        show_half_of_a_batch,
        show_half_of_a_batch_that_made_an_aggregate,
        show_what_went_on_before_a_batch_that_left_it,
    ],
    "what_was_erased_is_gone": [keep_what_was_to_be_erased],
    "what_was_erased_is_not_replayed": [replay_what_was_erased],
}


def test_a_story_that_is_right_has_no_violations() -> None:
    story = told()
    report = check(story.attempts, story.history)
    assert report.violations == {}
    assert report.changes == 17


@pytest.mark.parametrize(
    ("name", "tamper"), [(name, tamper) for name, tampers in CASES.items() for tamper in tampers]
)
def test_a_check_finds_what_it_is_there_for(name: str, tamper: Callable[[Story], None]) -> None:
    story = told()
    tamper(story)
    assert name in check(story.attempts, story.history).violations


def test_every_check_has_a_case() -> None:
    assert set(CASES) == {check.__name__ for check in CHECKS}
