"""Generated definitions change under generated updates, and every verdict is the right one.

Eight clients write in each of the three ways at two servers. The longer form:
`python -m tests.consistency.rules --seconds 600`.
"""

import sys
from typing import Final

import pytest

from tests.consistency.environment import OwnPostgres, new_database
from tests.consistency.rules.run import run

CASES: Final = {
    "no_revision_check": "no_version_comes_after_its_revision",
    "one_violation_dropped": "every_refusal_names_every_violation",
}


async def test_every_version_keeps_its_revision_and_every_refusal_names_all(
    own_database: str,
) -> None:
    outcome = await run(own_database, seed=1, changes=40, pause=0.06)
    assert outcome.mistakes == {}, outcome
    assert outcome.done["revisions"] > 20
    for told in ("acknowledged", "RULE_VIOLATED", "INVALID_VALUE", "LATE_VALUE"):
        assert outcome.done[told] > 10, outcome


@pytest.mark.parametrize("sabotage", CASES)
async def test_the_judge_catches_a_server_with(sabotage: str, killable: OwnPostgres) -> None:
    command = (sys.executable, "-m", "tests.consistency.sabotaged_server", sabotage)
    # Of five rounds without the check of the revision about one meets nobody in flight.
    for seed in range(2, 7):
        async with new_database(killable) as dsn:
            outcome = await run(dsn, seed=seed, changes=40, pause=0.03, command=command)
        if CASES[sabotage] in outcome.mistakes:
            return
    pytest.fail(f"{sabotage} was not caught: {outcome}")
