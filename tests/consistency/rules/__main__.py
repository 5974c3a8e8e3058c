"""`python -m tests.consistency.rules`: generated definitions under generated updates, for long.

Prints what was done in each round, and ends with 1 if there is anything to object to.
"""

import argparse
import asyncio
import sys
import time

from tests.consistency.environment import new_database, own_postgres
from tests.consistency.rules.run import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.consistency.rules")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--changes", type=int, default=100, help="of definitions, in each round")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between them")
    options = parser.parse_args()
    end, seed, objections = time.monotonic() + options.seconds, options.seed, 0

    async def round_of(seed: int) -> Outcome:
        async with new_database(postgres) as dsn:
            return await run(dsn, seed=seed, changes=options.changes, pause=options.pause)

    with own_postgres() as postgres:
        while True:
            outcome = asyncio.run(round_of(seed))
            print(f"seed {seed}: {outcome}", flush=True)
            objections += bool(outcome.mistakes)
            seed += 1
            if time.monotonic() > end:
                break
    print(f"{objections} rounds with OBJECTIONS" if objections else "everything promised holds")
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main())
