"""The checker catches servers that were broken on purpose, so it would catch a broken product.

Each sabotage takes away something that the write protocol rests on.
"""

import sys

import pytest

from tests.consistency.checker import Report
from tests.consistency.moods import Mood, in_a_hurry, patient
from tests.consistency.rig import Rig, rig
from tests.consistency.sabotages import SABOTAGES
from tests.consistency.test_rules import CASES as RULE_CASES
from tests.consistency.traffic import traffic
from tests.consistency.waiting import eventually

ATTEMPTS = 700

CASES = {
    "no_version_check": (
        patient,
        {"versions_are_dense", "each_change_is_what_was_asked_for", "counters_are_sums"},
    ),
    "apply_twice_on_retry": (in_a_hurry, {"acknowledged_updates_are_there_once"}),
    "acknowledge_before_commit": (patient, {"reads_are_never_old"}),
    "etag_of_xmin_only": (patient, {"an_etag_names_one_version", "conditions_held"}),
}


@pytest.mark.parametrize("sabotage", CASES)
async def test_the_checker_catches_a_server_with(sabotage: str, own_database: str) -> None:
    mood, caught_by = CASES[sabotage]
    command = (sys.executable, "-m", "tests.consistency.sabotaged_server", sabotage)
    async with rig(own_database, command=command) as broken:
        report = await stormed(broken, mood)
    assert caught_by <= set(report.violations), report


async def test_the_checker_finds_nothing_in_servers_as_they_are(own_database: str) -> None:
    async with rig(own_database) as stand:
        report = await stormed(stand, patient)
        assert stand.fleet.complaints == []
    assert report.violations == {}, report
    assert report.changes > 0


def test_every_sabotage_has_a_case() -> None:
    assert set(CASES) | set(RULE_CASES) == set(SABOTAGES)


async def stormed(stand: Rig, mood: Mood) -> Report:
    async with traffic(stand.recorder, stand.fleet.addresses, mood=mood):
        await eventually(lambda: stand.recorder.count >= ATTEMPTS)
    return await stand.verdict("end")
