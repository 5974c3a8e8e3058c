"""The checker catches servers that were broken on purpose, so it would catch a broken product.

Each sabotage takes away something that a promise rests on.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.consistency.checker import CHECKS, Report
from tests.consistency.environment import OwnPostgres, Rig, new_database, rig
from tests.consistency.patience import Mood, hurried, in_a_hurry, patient
from tests.consistency.sabotages import SABOTAGES
from tests.consistency.test_failovers import CASES as FAILOVER_CASES
from tests.consistency.test_rules import CASES as RULE_CASES
from tests.consistency.traffic import USUAL, traffic
from tests.kit.waiting import eventually

ATTEMPTS: Final = 700
ROUNDS: Final = 15
"""A rare race may need more than one, and many on a machine that is busy with other tests."""

_LEFT_ALONE: Final = {"update_without_id": 20, "idle": 60, "read": 40}
_TOGETHER: Final = {"batch": 20, "batched_read": 40, "update": 10}
_LEFT_BEHIND: Final = {"conditional_batch": 50, "update_without_id": 20, "batched_read": 60}
_REHEARSED: Final = {"update": 30, "rehearsal": 30}
_ERASED: Final = {"update": 30, "batch": 30, "erase": 10}
_CREATED: Final = {"creation": 40, "delete": 30, "update": 10}
_RETRIED_AND_ERASED: Final = {"update": 20, "update_of_forgotten": 60, "again": 30, "erase": 5}


class Case(NamedTuple):
    """How a sabotage is seen."""

    caught_by: set[str]
    """The checks that it is there for; others may find it too."""
    mood: Mood = patient
    mix: Mapping[str, int] = USUAL
    servers: int = 2

    def mood_of(self, round_: int) -> Mood:
        """Of those who hurry: a busy machine may answer nothing within their usual moment."""
        return self.mood if self.mood is patient else hurried(min(0.02 * 2**round_, 2.0))


CASES: Final[Mapping[str, Case]] = {
    "no_version_check": Case(
        {"versions_are_dense", "each_change_is_what_was_asked_for", "counters_are_sums"}
    ),
    "no_check_of_what_is_left": Case({"no_half_of_a_batch_is_seen"}, mix=_LEFT_BEHIND),
    "apply_twice_on_retry": Case(
        {
            "acknowledged_updates_are_there_once",
            "one_answer_is_the_first",
            "reused_request_ids_are_refused",
        },
        mood=in_a_hurry,
    ),
    "apply_twice_at_once": Case({"unknown_updates_are_there_at_most_once"}, mood=in_a_hurry),
    "acknowledge_before_commit": Case({"reads_are_never_old"}),
    "apply_later_than_answered": Case({"real_time_order_holds"}),
    "refuse_what_was_committed": Case({"refused_updates_are_not_there"}),
    "write_batches_in_parts": Case(
        {"updates_of_many_aggregates_are_whole", "no_half_of_a_batch_is_seen"}
    ),
    "write_to_the_next_entity": Case({"every_change_was_asked_for"}),
    "leave_the_history": Case({"what_was_erased_is_gone"}, mix=_ERASED),
    "leave_the_requests": Case(
        {"what_was_erased_is_not_replayed"}, mood=in_a_hurry, mix=_RETRIED_AND_ERASED
    ),
    "etag_of_xmin_only": Case({"an_etag_names_one_version", "conditions_held"}),
    "heed_no_etag": Case({"conditions_held", "what_was_left_as_it_was_had_the_etag"}),
    "refuse_current_etags": Case({"refusals_had_a_reason"}),
    "create_what_exists": Case({"what_must_be_absent_was_absent"}, mix=_CREATED),
    "refuse_what_is_absent": Case({"who_was_refused_as_it_exists_met_it"}, mix=_CREATED),
    "make_answers_up": Case(
        {"answers_tell_the_version_that_was_made", "answers_tell_when_and_what_was_late"}
    ),
    "answer_from_memory": Case({"what_is_left_as_it_was_is_current"}),
    "replay_the_present": Case({"a_replay_equals_the_first_answer"}),
    "rehearse_in_earnest": Case({"rehearsals_change_nothing"}, mix=_REHEARSED),
    "rehearse_from_the_beginning": Case({"rehearsals_tell_what_would_come"}, mix=_REHEARSED),
    "rehearse_with_an_etag": Case({"rehearsals_give_no_etag"}, mix=_REHEARSED),
    "lose_a_feature": Case({"stored_states_are_folds", "reads_are_committed_versions"}),
    "turn_the_clock_back": Case({"commit_times_rise"}),
    "read_key_by_key": Case(
        {"what_is_seen_together_stood_together", "no_half_of_a_batch_is_seen"}, mix=_TOGETHER
    ),
    "follow_without_waiting": Case({"reads_are_never_old"}, mix=_LEFT_ALONE, servers=1),
}

NOT_SEEN_TO_FAIL: Final = {"reads_are_never_early"}
"""No server knows what it will be asked for."""


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("sabotage", CASES)
async def test_the_checker_catches_a_server_with(sabotage: str, killable: OwnPostgres) -> None:
    case = CASES[sabotage]
    command = (sys.executable, "-m", "tests.consistency.sabotaged_server", sabotage)
    missed = set(case.caught_by)
    for seed in range(ROUNDS):
        async with (
            new_database(killable) as dsn,
            rig(dsn, command=command, servers=case.servers) as broken,
        ):
            report = await stormed(broken, case.mood_of(seed), case.mix, seed)
        missed -= set(report.violations)
        if not missed:
            return
    pytest.fail(f"{missed} did not find {sabotage}\n{report}")


@pytest.mark.parametrize(
    ("mood", "mix"),
    [(patient, USUAL), (in_a_hurry, _RETRIED_AND_ERASED)],
    ids=["usual", "erased in a hurry"],
)
async def test_the_checker_finds_nothing_in_servers_as_they_are(
    own_database: str, mood: Mood, mix: Mapping[str, int]
) -> None:
    async with rig(own_database) as stand:
        report = await stormed(stand, mood, mix, seed=1)
        assert stand.fleet.complaints == []
    assert report.violations == {}, report
    assert report.changes > 0


def test_every_sabotage_has_a_case() -> None:
    assert set(CASES) | set(FAILOVER_CASES) | set(RULE_CASES) == set(SABOTAGES)


def test_every_check_is_seen_to_fail_or_says_why_not() -> None:
    seen = set().union(*(case.caught_by for case in CASES.values()), *FAILOVER_CASES.values())
    assert seen | NOT_SEEN_TO_FAIL == {check.__name__ for check in CHECKS}
    assert not seen & NOT_SEEN_TO_FAIL


def test_the_table_of_sabotages_is_complete() -> None:
    text = (Path(__file__).parent / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| (`[^|]*`) \|$", text, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", checks)) for name, checks in rows}
    proved = {name: case.caught_by for name, case in CASES.items()}
    proved |= FAILOVER_CASES
    assert told == proved | {name: {judgement} for name, judgement in RULE_CASES.items()}


async def stormed(stand: Rig, mood: Mood, mix: Mapping[str, int], seed: int) -> Report:
    async with traffic(stand.recorder, stand.fleet.addresses, seed=seed, mood=mood, mix=mix):
        await eventually(lambda: stand.recorder.count >= ATTEMPTS)
    return await stand.verdict("end")
