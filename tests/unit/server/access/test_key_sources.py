"""Keys of an issuer: fetched when they are needed, and not oftener than they may be."""

import asyncio
import threading
import time

import pytest

from domain.errors import AuthenticationUnavailable
from server.access import key_sources
from server.access.key_sources import KeysOfIssuer
from tests.kit.issuer import Issuer
from tests.kit.waiting import eventually

OLD, NEW = Issuer(kid="old"), Issuer(kid="new")


class Endpoint:
    """What an issuer answers."""

    def __init__(self, answer: bytes | OSError) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        time.sleep(0.01)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, it is not yet time to ask again: see `let_pass`."""
    monkeypatch.setattr(key_sources, "ASK_AGAIN", 600.0)
    monkeypatch.setattr(key_sources, "TRY_AGAIN", 600.0)


def let_pass(keys: KeysOfIssuer) -> None:
    """Let it be time to ask again."""
    keys._not_before = 0.0


def failures(keys: KeysOfIssuer) -> object:
    """As the metrics count them."""
    (metric,) = keys.metrics()
    assert metric.name == "featom_jwks_fetch_failures_total"
    return metric.samples[0].value


async def kids(keys: KeysOfIssuer, kid: str | None) -> list[str | None]:
    return [key.kid for key in await keys.find(kid)]


async def test_keys_are_fetched_once_for_all_who_ask_and_the_loop_turns_meanwhile() -> None:
    endpoint = Endpoint(OLD.key_set())
    keys = KeysOfIssuer(endpoint)
    found = await asyncio.gather(*(kids(keys, "old") for _ in range(20)), asyncio.sleep(0))
    assert found[:20] == [["old"]] * 20
    assert endpoint.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    endpoint = Endpoint(OLD.key_set())
    keys = KeysOfIssuer(endpoint)
    await keys.find("old")
    endpoint.answer = OLD.key_set(NEW)
    let_pass(keys)
    assert await kids(keys, "new") == ["new"]
    assert await kids(keys, "old") == ["old"]


async def test_strangers_cannot_make_it_fetch_all_the_time() -> None:
    endpoint = Endpoint(OLD.key_set())
    keys = KeysOfIssuer(endpoint)
    for number in range(50):
        assert await kids(keys, f"made up {number}") == []
    assert endpoint.asked == 1


async def test_without_any_key_nobody_is_refused_and_it_is_tried_again() -> None:
    endpoint = Endpoint(OSError("away"))
    keys = KeysOfIssuer(endpoint)
    for _ in range(3):
        with pytest.raises(AuthenticationUnavailable):
            await keys.find("old")
    assert endpoint.asked == 1
    endpoint.answer = OLD.key_set()
    let_pass(keys)
    assert await kids(keys, "old") == ["old"]


async def test_while_the_issuer_is_away_known_keys_count_and_unknown_ones_cannot_be_judged() -> (
    None
):
    endpoint = Endpoint(OLD.key_set())
    keys = KeysOfIssuer(endpoint)
    await keys.find("old")
    endpoint.answer = OSError("away")
    let_pass(keys)
    with pytest.raises(AuthenticationUnavailable):
        await keys.find("new")
    assert await kids(keys, "old") == ["old"]
    assert failures(keys) == 1


async def test_an_answer_that_is_no_key_set_changes_nothing() -> None:
    endpoint = Endpoint(OLD.key_set())
    keys = KeysOfIssuer(endpoint)
    await keys.find("old")
    before = keys.current
    endpoint.answer = b"<html>"
    let_pass(keys)
    with pytest.raises(AuthenticationUnavailable):
        await keys.find("new")
    assert keys.current is before
    assert failures(keys) == 1


async def test_a_caller_that_goes_away_does_not_end_the_fetch_of_others() -> None:
    keys = KeysOfIssuer(Endpoint(OLD.key_set()))
    first = asyncio.create_task(kids(keys, "old"))
    second = asyncio.create_task(kids(keys, "old"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["old"]


async def test_a_key_that_the_issuer_has_dropped_is_soon_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_sources, "REFRESH", 0.02)
    endpoint = Endpoint(OLD.key_set(NEW))
    keys = KeysOfIssuer(endpoint)
    watch = asyncio.create_task(keys.watch())
    assert await kids(keys, "old") == ["old"]
    endpoint.answer = NEW.key_set()
    await eventually(lambda: [key.kid for key in keys.current] == ["new"])
    watch.cancel()


async def test_an_issuer_that_hangs_holds_nobody_up_for_good_and_takes_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()
    asked = 0

    def hang() -> bytes:
        nonlocal asked
        asked += 1
        answers.wait(30)
        return OLD.key_set()

    monkeypatch.setattr(key_sources, "PATIENCE", 0.05)
    keys = KeysOfIssuer(hang)
    for _ in range(3):
        async with asyncio.timeout(10):
            with pytest.raises(AuthenticationUnavailable):
                await keys.find("old")
        let_pass(keys)
    assert asked == 1
    assert failures(keys) == 3
    monkeypatch.setattr(key_sources, "PATIENCE", 30)
    answers.set()
    assert await kids(keys, "old") == ["old"]
    assert asked == 1
