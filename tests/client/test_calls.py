"""Updates, reads and deletions as a program sees them; the same of both clients."""

import pickle
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from featom_client import (
    AggregateExists,
    AggregateNotFound,
    AsyncClient,
    Client,
    EntityType,
    EntityTypeNotFound,
    EtagMismatch,
    FeatomError,
    FeatureSpec,
    InvalidRequest,
    LimitExceeded,
    RequestIdReused,
    append,
    at,
    inc,
    maximum,
    minimum,
    remove,
)

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_operations_do_what_their_names_say(client: Client, kind: str) -> None:
    for number in (3.0, 1.0, 2.0):
        client.update(
            kind,
            "1",
            {"seen.at": NOON},
            payments=inc(1),
            largest=maximum(number),
            smallest=minimum(number),
            last=append(number, keep=2),
            gone=True,
        )
    client.update(kind, "1", gone=remove())
    read = client.get(kind, "1")
    assert dict(read) == {
        "largest": 3.0,
        "last": [1.0, 2.0],
        "payments": 3,
        "seen.at": NOON,
        "smallest": 1.0,
    }
    assert list(read) == sorted(read)
    assert len(read) == 5
    assert "gone" not in read
    assert (read.entity_type, read.entity_id, read.version) == (kind, "1", 4)
    assert read.changed_in("payments") == 3
    with pytest.raises(KeyError):
        read["gone"]
    with pytest.raises(KeyError):
        read.event_time("gone")


def test_a_value_that_came_late_is_named(client: Client, kind: str) -> None:
    client.update(kind, "1", a=1, b=1, event_time=NOON)
    outcome = client.update(kind, "1", a=at(2, NOON - HOUR), b=2, event_time=NOON + HOUR)
    assert outcome.stale == ("a",)
    read = client.get(kind, "1")
    assert dict(read) == {"a": 1, "b": 2}
    assert read.event_time("b") == NOON + HOUR


def test_the_past_is_read_by_version_and_by_time(client: Client, kind: str) -> None:
    first = client.update(kind, "1", a=1, event_time=NOON)
    client.update(kind, "1", a=2, event_time=NOON + HOUR)
    assert client.get(kind, "1", as_of_version=1)["a"] == 1
    assert client.get(kind, "1", as_of_commit_time=first.update_time)["a"] == 1
    assert client.get(kind, "1", as_of_event_time=NOON + HOUR / 2)["a"] == 1
    assert client.get(kind, "1", ["a"], eventual=True)["a"] == 2
    assert client.get(kind, "1", at_least_etag=first.etag)["a"] == 2
    served = client.get(kind, "1")
    client.delete(kind, "1")
    again = client.get(kind, "1", as_of_version=2, uid=served.uid, read_time=served.read_time)
    assert served.read_time is not None
    assert (dict(again), again.read_time) == (dict(served), served.read_time)
    assert pickle.loads(pickle.dumps(served)) == served
    assert pickle.loads(pickle.dumps(served)).read_time == served.read_time
    # Another kind than what there was at that time: it does not fit in the order of events.
    client.update(kind, "2", a=inc(1), event_time=NOON)
    client.update(kind, "2", a=remove(), event_time=NOON + HOUR)
    client.update(kind, "2", a=inc(0.5), event_time=NOON + HOUR / 2)
    past = client.get(kind, "2", as_of_event_time=NOON + HOUR / 2)
    assert (dict(past), past.inexact) == ({"a": 1}, ("a",))
    assert pickle.loads(pickle.dumps(past)).inexact == ("a",)
    with pytest.raises(InvalidRequest, match="one as_of"):
        client.get(kind, "1", as_of_version=1, as_of_event_time=NOON)


def test_the_history_has_every_change_of_every_incarnation(client: Client, kind: str) -> None:
    client.update(kind, "1", a=1, b="x", event_time=NOON)
    client.update(kind, "1", a=2, b=remove(), event_time=NOON + HOUR)
    client.update(kind, "1", a=3, event_time=NOON)
    client.delete(kind, "1")
    client.update(kind, "1", a=4)
    newest, deletion, late, second, first = client.history(kind, "1")
    assert (first.version, dict(first.features), first.removed) == (1, {"a": 1, "b": "x"}, ())
    assert first.event_times == {"a": NOON, "b": NOON}
    assert (second.version, dict(second.features), second.removed) == (2, {"a": 2}, ("b",))
    assert (late.version, dict(late.features), dict(late.late)) == (2, {}, {"a": 3})
    assert (deletion.deleted, deletion.uid) == (True, first.uid)
    assert (newest.version, dict(newest.features)) == (1, {"a": 4})
    assert list(client.history(kind, "1", oldest_first=True, uid=newest.uid)) == [newest]
    assert list(client.history(kind, "nobody")) == []


async def test_the_asynchronous_client_has_the_same_history(
    async_client: AsyncClient, kind: str
) -> None:
    for number in (1, 2):
        await async_client.update(kind, "1", a=number)
    found = [each async for each in async_client.history(kind, "1", oldest_first=True)]
    assert [dict(each.features) for each in found] == [{"a": 1}, {"a": 2}]


def test_an_etag_keeps_a_stale_writer_out(client: Client, kind: str) -> None:
    outcome = client.update(kind, "1", a=1)
    client.update(kind, "1", a=2)
    with pytest.raises(EtagMismatch) as refused:
        client.update(kind, "1", a=3, etag=outcome.etag)
    assert refused.value.current_version == 2
    with pytest.raises(EtagMismatch):
        client.delete(kind, "1", etag=outcome.etag)
    assert client.get(kind, "1")["a"] == 2


def test_an_empty_etag_is_no_condition_that_holds_of_itself(client: Client, kind: str) -> None:
    past = client.update(kind, "1", a=1) and client.get(kind, "1", as_of_version=1)
    assert past.etag == ""
    with pytest.raises(InvalidRequest, match="etag is empty"):
        client.update(kind, "1", a=3, etag=past.etag)
    with pytest.raises(InvalidRequest, match="etag is empty"):
        client.delete(kind, "1", etag="")


def test_a_request_is_applied_once_under_its_id(client: Client, kind: str) -> None:
    request_id = str(uuid.uuid4())
    first = client.update(kind, "1", n=inc(1), request_id=request_id)
    again = client.update(kind, "1", n=inc(1), request_id=request_id)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.version == first.version
    assert client.get(kind, "1")["n"] == 1
    with pytest.raises(RequestIdReused):
        client.update(kind, "1", n=inc(2), request_id=request_id)


def test_a_rehearsal_writes_nothing(client: Client, kind: str) -> None:
    outcome = client.update(kind, "1", n=1, validate_only=True, return_aggregate=True)
    assert outcome.aggregate is not None
    assert dict(outcome.aggregate) == {"n": 1}
    with pytest.raises(AggregateNotFound):
        client.get(kind, "1")


def test_a_batch_applies_as_a_whole_or_not_at_all(client: Client, kind: str) -> None:
    with client.batch() as batch:
        batch.update(kind, "payer", balance=inc(-5))
        batch.update(kind, "payee", balance=inc(5))
    assert [outcome.version for outcome in batch.outcomes] == [1, 1]
    refused = client.batch()
    refused.update(kind, "payer", balance=inc(-5))
    refused.update(kind, "payee", balance=inc(5.0))
    with pytest.raises(InvalidRequest, match="balance"), refused:
        pass
    assert refused.outcomes == ()
    left = client.batch()
    left.update(kind, "payer", balance=inc(-5))
    with pytest.raises(RuntimeError, match="thought better"), left:
        raise RuntimeError("thought better of it")
    assert client.get_many(kind, ["payer", "payee"]).column("balance") == [-5, 5]


def test_all_that_cannot_be_sent_is_named_at_once(client: Client, kind: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as refused:
        client.update(kind, "1", a=None, b=[], c=1, event_time=NOON)
    assert isinstance(refused.value, InvalidRequest)
    assert [each.subject for each in refused.value.violations] == ["a", "b"]
    with pytest.raises(ValueError, match="named twice: a"):
        client.update(kind, "1", {"a": 1}, a=1)
    with pytest.raises(ValueError, match="list of names"):
        client.get(kind, "1", "name")


def test_what_is_not_there_is_a_key_error(client: Client, kind: str) -> None:
    with pytest.raises(KeyError) as missing:
        client.get(kind, "nobody")
    assert isinstance(missing.value, AggregateNotFound)
    assert missing.value.reason == "AGGREGATE_NOT_FOUND"
    assert missing.value.log_id
    assert str(missing.value) == missing.value.message
    with pytest.raises(KeyError):
        client.delete(kind, "nobody")
    with pytest.raises(EntityTypeNotFound):
        client.get_entity_type(kind)


def test_all_of_a_type_are_listed_over_many_pages(
    client: Client, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featom_client.calls.PAGE", 3)
    client.write([{"entity_id": f"{number:02}", "x": number} for number in range(10)], kind)
    assert [each.entity_id for each in client.list(kind)] == [f"{n:02}" for n in range(10)]


def test_more_keys_than_one_snapshot_has_are_refused(client: Client, kind: str) -> None:
    with pytest.raises(LimitExceeded):
        client.get_many(kind, map(str, range(1_001)))


def test_a_decision_is_made_anew_when_something_came_between(client: Client, kind: str) -> None:
    client.update(kind, "1", n=1)
    seen: list[int] = []

    def double(read: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(read["n"])
        if len(seen) == 1:
            client.update(kind, "1", n=10)
        return {"n": read["n"] * 2}

    outcome = client.transact(kind, "1", double)
    assert outcome is not None
    assert seen == [1, 10]
    assert client.get(kind, "1")["n"] == 20
    assert client.transact(kind, "1", lambda read: None) is None


def test_of_many_who_decide_on_what_is_not_there_one_creates_it(client: Client, kind: str) -> None:
    def add(read: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"n": read.get("n", 0) + 1}

    with ThreadPoolExecutor(8) as callers:
        outcomes = [callers.submit(client.transact, kind, "1", add, tries=99) for _ in range(24)]
        updates = [each.result() for each in outcomes]
    assert sorted(each.version for each in updates if each) == list(range(1, 25))
    assert client.get(kind, "1")["n"] == 24


def test_what_must_be_absent_is_created_once(client: Client, kind: str) -> None:
    client.update(kind, "1", n=1, must_be_absent=True)
    with pytest.raises(AggregateExists):
        client.update(kind, "1", n=2, must_be_absent=True)
    batch = client.batch()
    batch.update(kind, "2", n=1, must_be_absent=True)
    batch.update(kind, "1", n=1, must_be_absent=True)
    with pytest.raises(AggregateExists), batch:
        pass
    assert client.get_many(kind, ["1", "2"]).column("n") == [1, None]


def test_a_conflict_that_does_not_end_is_not_hidden(client: Client, kind: str) -> None:
    client.update(kind, "1", n=1)

    def meddle(read: Mapping[str, Any]) -> Mapping[str, Any]:
        client.update(kind, "1", n=inc(1))
        return {"n": 0}

    with pytest.raises(EtagMismatch):
        client.transact(kind, "1", meddle, tries=3)
    assert client.get(kind, "1")["n"] == 4
    with pytest.raises(ValueError, match="tries"):
        client.transact(kind, "1", meddle, tries=0)


async def test_the_asynchronous_client_does_the_same(async_client: AsyncClient, kind: str) -> None:
    client = async_client
    outcome = await client.update(kind, "1", n=inc(1))
    assert dict(await client.get(kind, "1")) == {"n": 1}
    with pytest.raises(KeyError):
        await client.get(kind, "nobody")
    with pytest.raises(FeatomError, match="cannot be sent"):
        await client.update(kind, "1", n=None)
    async with client.batch() as batch:
        batch.update(kind, "2", n=inc(2))
    assert len(batch.outcomes) == 1
    await client.transact(kind, "1", lambda read: {"n": read["n"] + 4})
    assert (await client.get_many(kind, ["2", "1", "2"])).column("n") == [2, 5, 2]
    assert [each.entity_id async for each in client.list(kind)] == ["1", "2"]
    with pytest.raises(EtagMismatch):
        await client.delete(kind, "1", etag=outcome.etag)
    assert (await client.delete(kind, "1")).version == 3
    await client.apply_entity_type(EntityType(kind, {"n": FeatureSpec("int64")}))
    assert (await client.get_entity_type(kind)).name == kind
    assert kind in [each.name async for each in client.list_entity_types()]
    await client.delete_entity_type(kind, force=True)
