"""A connection that breaks during a commit: what became of it is looked up, not guessed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.consistency.caller import Patience, call
from tests.consistency.environment import Rig, rig
from tests.consistency.history import read_history
from tests.consistency.operations import MARK, TOTAL, Kind, Part, Request, Step, Verdict
from tests.kit.proxy import Proxy, Way
from tests.kit.stubs import connected
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

SETTINGS = {"lanes": 1, "statement_timeout": 0.5}
KEY = "entity"
A_FEW_BYTES = 5


@asynccontextmanager
async def stand(dsn: str) -> AsyncIterator[tuple[Rig, Proxy, "FeatureStoreServiceAsyncStub"]]:
    """One server with one lane, whose connections are there and known to work."""
    async with rig(dsn, through_proxy=True, servers=1, settings=SETTINGS) as ready:
        assert ready.proxy is not None
        async with connected(ready.fleet.addresses[0]) as store:
            answer = await call(ready.recorder, store, update("warm-up", "another"), Patience())
            assert answer.verdict is Verdict.ACKNOWLEDGED
            yield ready, ready.proxy, store


async def test_a_commit_whose_answer_was_lost_is_found_and_acknowledged(own_database: str) -> None:
    async with stand(own_database) as (ready, proxy, store):
        for name in ("new", "existing"):
            proxy.reset_after(A_FEW_BYTES, Way.TO_SERVER, writers_only=True)
            answer = await call(ready.recorder, store, update(name), Patience())
            assert answer.verdict is Verdict.ACKNOWLEDGED
        assert "the answer to a commit was lost" in ready.fleet.servers[0].log.read_text()
        report = await ready.verdict("end")
    assert report.violations == {}, report
    assert await committed(own_database) == ["new", "existing"]


async def test_a_commit_that_never_arrived_is_made_again(own_database: str) -> None:
    async with stand(own_database) as (ready, proxy, store):
        for name in ("new", "existing"):
            proxy.reset_after(A_FEW_BYTES, Way.TO_DATABASE, writers_only=True)
            answer = await call(ready.recorder, store, update(name), Patience())
            assert answer.verdict is Verdict.ACKNOWLEDGED
        assert "the answer to a commit was lost" in ready.fleet.servers[0].log.read_text()
        report = await ready.verdict("end")
    assert report.violations == {}, report
    assert await committed(own_database) == ["new", "existing"]


async def test_a_commit_that_arrives_after_it_was_made_again_changes_nothing(
    own_database: str,
) -> None:
    async with stand(own_database) as (ready, proxy, store):
        for name in ("new", "existing"):
            async with proxy.blackhole(Way.TO_DATABASE, new_too=False, writers_only=True):
                answer = await call(ready.recorder, store, update(name), Patience())
                assert answer.verdict is Verdict.ACKNOWLEDGED
            await all_has_arrived(proxy)
        report = await ready.verdict("end")
    assert report.violations == {}, report
    assert await committed(own_database) == ["new", "existing"]


async def test_a_commit_that_arrives_late_does_not_bring_back_what_was_deleted_meanwhile(
    own_database: str,
) -> None:
    async with stand(own_database) as (ready, proxy, store):
        async with proxy.blackhole(Way.TO_DATABASE, new_too=False, writers_only=True):
            answer = await call(ready.recorder, store, update("new"), Patience())
            assert answer.verdict is Verdict.ACKNOWLEDGED
            name = str(uuid4())
            deletion = Request(name, 1, Kind.DELETE, (Part(KEY),), request_id=name)
            answer = await call(ready.recorder, store, deletion, Patience())
            assert answer.verdict is Verdict.ACKNOWLEDGED
        await all_has_arrived(proxy)
        report = await ready.verdict("end")
    assert report.violations == {}, report
    assert await committed(own_database) == ["new", None]


def update(name: str, key: str = KEY) -> Request:
    """Without a request id, so that nothing but the look-up can tell what became of it."""
    steps = (Step(MARK, "set", name), Step(TOTAL, "increment", 1))
    return Request(name, 1, Kind.UPDATE, (Part(key, steps),))


async def committed(dsn: str) -> list[str | None]:
    """Whose the changes of the entity are, in order."""
    return [entry.operation for entry in (await read_history(dsn)).entries[KEY]]


async def all_has_arrived(proxy: Proxy) -> None:
    """Return when connections on which the server has hung up have come to their end."""
    await eventually(lambda: not proxy.has_abandoned)
