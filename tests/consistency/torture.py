"""`python -m tests.consistency.torture`: every storm, for long.

Prints what was done, how many calls ended how, and the checker's verdict; ends with 1 if there is
anything to object to.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from tests.consistency import large_requests
from tests.consistency.environment import OwnPostgres, new_database, own_postgres
from tests.consistency.storms import STORMS, Aftermath, rage

AMOUNTS: Mapping[str, int] = {
    "server-kills": 200,
    "database-kills": 50,
    "pauses": 30,
    "network": 100,
    "cancels": 20_000,
    "chained-server-kills": 20,
    "chained-database-kills": 20,
    "chained-network": 40,
    "chained-cancels": 5_000,
    "chained-two-servers": 20,
    "chained-two-servers-network": 40,
}
LARGE_REQUESTS: Final = "large-requests"
"""The storm that is about time and memory, and not about what was promised of the data."""


def main() -> int:
    options = _options()
    storms = options.only or [*AMOUNTS, LARGE_REQUESTS]
    begun = time.monotonic()
    done: Counter[str] = Counter()
    objections = 0
    with own_postgres() as postgres:
        for name in storms:
            if name == LARGE_REQUESTS:
                objections += asyncio.run(_ask_for_much(options.large_requests, postgres))
                continue
            amount = getattr(options, name.replace("-", "_"))
            counts, bad = asyncio.run(_torture(name, amount, postgres, options.seed))
            done += counts
            objections += bad
    print(f"\nin {time.monotonic() - begun:,.0f} s: {_listed(done)}")
    print(f"{objections} rounds with OBJECTIONS" if objections else "everything promised holds")
    return 1 if objections else 0


async def _torture(
    name: str, amount: int, postgres: OwnPostgres, seed: int
) -> tuple[Counter[str], int]:
    """One storm, round after round. Returns what was done, and in how many rounds it went wrong."""
    storm = STORMS[name]
    done: Counter[str] = Counter()
    objections = 0
    while done[storm.unit] < amount:
        seed += 1
        print(f"\n== {name}, seed {seed}", flush=True)
        try:
            wanted = min(storm.per_round, amount - done[storm.unit])
            aftermath = await rage(storm, wanted, postgres, seed)
        except AssertionError as error:
            print(f"UNSETTLED: {error}")
            return done, objections + 1
        _print(aftermath)
        done += aftermath.counts
        done["calls"] += aftermath.report.attempts.total()
        done["changes"] += aftermath.report.changes
        objections += not aftermath.is_good
    return done, objections


async def _ask_for_much(seconds: float, postgres: OwnPostgres) -> bool:
    """Whether there is anything to object to."""
    print(f"\n== {LARGE_REQUESTS}", flush=True)
    async with new_database(postgres) as dsn:
        aftermath = await large_requests.rage(dsn, seconds)
    print(aftermath)
    for objection in aftermath.objections:
        print(f"OBJECTION: {objection}")
    return bool(aftermath.objections)


def _print(aftermath: Aftermath) -> None:
    print(f"done: {_listed(aftermath.counts)}")
    print(aftermath.report)
    for complaint in aftermath.complaints[:3]:
        print(f"A SERVER COMPLAINED:\n{complaint}")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.consistency.torture")
    parser.add_argument(
        "--only", nargs="+", choices=[*STORMS, LARGE_REQUESTS], help="run these storms alone"
    )
    parser.add_argument("--seed", type=int, default=1)
    for name, amount in AMOUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=amount, help=STORMS[name].unit)
    parser.add_argument(f"--{LARGE_REQUESTS}", type=float, default=60.0, help="seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
