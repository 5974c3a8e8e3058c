"""Storms: traffic, and one sort of fault again and again while it goes on."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.consistency.checker import Report
from tests.consistency.eager_server import EAGER
from tests.consistency.environment import OwnPostgres, Rig, new_database, rig
from tests.consistency.faults import database
from tests.consistency.patience import Mood, in_a_hurry, patient
from tests.consistency.traffic import Client, traffic
from tests.kit.program import FEATOM
from tests.kit.proxy import Way
from tests.kit.server_process import NO_SETTINGS
from tests.kit.waiting import eventually

Chance = random.Random

FLOW: Final = 50
"""As many acknowledgements show that traffic flows."""

_SHORT_STATEMENTS: Final = MappingProxyType({"statement_timeout": 1.0})
"""So that servers give up on a statement while the fault still lasts."""


class Situation(NamedTuple):
    """What a storm acts upon."""

    rig: Rig
    clients: list[Client]
    chance: Chance
    counts: Counter[str]
    """What was done, by name."""


class Storm(NamedTuple):
    """A sort of fault."""

    strike: Callable[[Situation], Awaitable[None]]
    """One more fault; returns when it is over."""
    unit: str
    """What of the counts tells how far the storm has come."""
    per_round: int
    mood: Mood = patient
    through_proxy: bool = False
    settings: Mapping[str, object] = NO_SETTINGS
    servers: int = 2
    command: Sequence[str] = FEATOM


async def kill_a_server(situation: Situation) -> None:
    fleet, chance = situation.rig.fleet, situation.chance
    victim = chance.randrange(len(fleet.servers))
    await asyncio.sleep(chance.uniform(0, 0.5))
    if chance.random() < 0.1:
        await fleet.restart(victim)
        situation.counts["server restarts"] += 1
    else:
        await fleet.kill(victim)
        situation.counts["server kills"] += 1


async def kill_the_database(situation: Situation) -> None:
    await asyncio.sleep(situation.chance.uniform(0, 0.5))
    assert situation.rig.postgres is not None
    server = situation.rig.postgres.server
    if situation.chance.random() < 0.1:
        await database.restart(server)
        situation.counts["database restarts"] += 1
    else:
        await database.crash(server)
        situation.counts["database kills"] += 1


async def pause_something(situation: Situation) -> None:
    seconds = situation.chance.uniform(0.5, 3)
    rig = situation.rig
    if situation.chance.random() < 0.5:
        await rig.fleet.pause(situation.chance.randrange(len(rig.fleet.servers)), seconds)
        situation.counts["server pauses"] += 1
    else:
        assert rig.postgres is not None
        await database.pause(rig.postgres.cluster, seconds)
        situation.counts["database pauses"] += 1
    situation.counts["pauses"] += 1


async def disturb_the_network(situation: Situation) -> None:
    chance, proxy = situation.chance, situation.rig.proxy
    assert proxy is not None
    way = chance.choice([*Way])
    fault = chance.choice(["delays", "blackholes", "blackholes", "resets", "resets", "resets"])
    if fault == "delays":
        async with proxy.delay(chance.uniform(0.001, 0.1)):
            await asyncio.sleep(chance.uniform(0.2, 1))
    elif fault == "blackholes":
        async with proxy.blackhole(way, new_too=chance.random() < 0.5):
            await asyncio.sleep(chance.uniform(0.2, 4))
    else:
        proxy.reset_after(chance.randint(1, 20_000), way)
        await asyncio.sleep(chance.uniform(0.1, 0.5))
    situation.counts[fault] += 1
    situation.counts["network faults"] += 1


async def let_clients_hurry(situation: Situation) -> None:
    """Count them: who hangs up after 20 ms may have had its answer by then."""
    hurried = sum((client.hurried for client in situation.clients), Counter[str]())
    cut_short = sum((client.cut_short for client in situation.clients), Counter[str]())
    counts = situation.counts
    counts.update(hurried + cut_short - counts)
    counts["hurried calls"] = hurried.total()
    counts["calls cut short"] = cut_short.total()


STORMS: Final[Mapping[str, Storm]] = MappingProxyType(
    {
        "server-kills": Storm(kill_a_server, "server kills", per_round=25),
        "database-kills": Storm(kill_the_database, "database kills", per_round=10),
        "pauses": Storm(pause_something, "pauses", per_round=10, settings=_SHORT_STATEMENTS),
        "network": Storm(
            disturb_the_network,
            "network faults",
            per_round=20,
            through_proxy=True,
            settings=_SHORT_STATEMENTS,
        ),
        "cancels": Storm(let_clients_hurry, "calls cut short", per_round=2_500, mood=in_a_hurry),
        # One server: where several write the same entities, few batches come to follow others.
        "chained-server-kills": Storm(
            kill_a_server, "server kills", per_round=10, servers=1, command=EAGER
        ),
        "chained-database-kills": Storm(
            kill_the_database, "database kills", per_round=10, servers=1, command=EAGER
        ),
        "chained-network": Storm(
            disturb_the_network,
            "network faults",
            per_round=20,
            through_proxy=True,
            settings=_SHORT_STATEMENTS,
            servers=1,
            command=EAGER,
        ),
        "chained-cancels": Storm(
            let_clients_hurry,
            "calls cut short",
            per_round=2_500,
            mood=in_a_hurry,
            servers=1,
            command=EAGER,
        ),
        # Two: batches are withdrawn again and again, as the other server was faster.
        "chained-two-servers": Storm(kill_a_server, "server kills", per_round=10, command=EAGER),
        "chained-two-servers-network": Storm(
            disturb_the_network,
            "network faults",
            per_round=20,
            through_proxy=True,
            settings=_SHORT_STATEMENTS,
            command=EAGER,
        ),
    }
)


async def traffic_flows(stand: Rig) -> None:
    """Return when clients are served, again or still. Raises NotInTime."""
    goal = stand.recorder.acknowledged + FLOW
    await eventually(lambda: stand.recorder.acknowledged >= goal, why="no traffic flows")


class Aftermath(NamedTuple):
    """What a round of a storm was, and what it left."""

    counts: Counter[str]
    report: Report
    complaints: list[str]
    """What servers logged that nobody had expected."""

    @property
    def is_good(self) -> bool:
        return not self.report.violations and not self.complaints


async def rage(storm: Storm, amount: int, postgres: OwnPostgres, seed: int) -> Aftermath:
    """One round of a storm, on a database of its own.

    Raises AssertionError if all is not well again soon.
    """
    counts: Counter[str] = Counter()
    async with (
        new_database(postgres) as dsn,
        rig(
            dsn,
            postgres=postgres,
            through_proxy=storm.through_proxy,
            servers=storm.servers,
            command=storm.command,
            settings=storm.settings,
        ) as stand,
    ):
        async with traffic(
            stand.recorder, stand.fleet.addresses, seed=seed, mood=storm.mood
        ) as clients:
            situation = Situation(stand, clients, Chance(seed), counts)
            while counts[storm.unit] < amount:
                await traffic_flows(stand)
                await storm.strike(situation)
        report = await stand.verdict(f"{seed}")
        return Aftermath(counts, report, stand.fleet.complaints)
