"""No acknowledged write is lost or doubled, and no call hangs, whatever becomes of servers."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from featom_client import AsyncClient, Client, NotAllowed, PermissionDenied, Retry, Timeouts, inc

from tests.kit.issuer import service_account
from tests.kit.secured_server import OWNER, READER, Fortress
from tests.kit.serving import Server, serving

# As long as it takes to start a server on a machine that has much else to do.
PATIENT = {"timeouts": Timeouts(call=100.0), "retry": Retry(attempts=1_000)}
ENTITIES = [f"e{number}" for number in range(20)]
CALLERS = 4
AT_LEAST = 300


def count_while(address: str, kind: str, meddle: Callable[[], object]) -> int:
    """Count payments by many callers while `meddle` runs, and a while after; gives how many."""
    over = threading.Event()

    def count(client: Client, number: int) -> int:
        counted = 0
        while not over.is_set() or counted < AT_LEAST // CALLERS:
            client.update(kind, ENTITIES[(number + counted) % len(ENTITIES)], n=inc(1))
            counted += 1
        return counted

    with Client(address, **PATIENT) as client, ThreadPoolExecutor(CALLERS) as callers:  # type: ignore[arg-type]
        counts = [callers.submit(count, client, number) for number in range(CALLERS)]
        try:
            meddle()
        finally:
            over.set()
        return sum(each.result() for each in counts)


def total(address: str, kind: str) -> int:
    with Client(address, **PATIENT) as client:  # type: ignore[arg-type]
        return sum(each["n"] for each in client.list(kind))


def test_no_write_is_lost_or_doubled_when_a_server_is_killed(database: str) -> None:
    with ExitStack() as running:
        first = running.enter_context(serving(database))

        def replace() -> None:
            first.kill()
            running.enter_context(serving(database, listen=first.address))

        counted = count_while(first.address, "card", replace)
        assert total(first.address, "card") == counted


def test_a_bulk_write_goes_on_when_a_server_is_killed(database: str) -> None:
    with ExitStack() as running:
        first = running.enter_context(serving(database))
        client = running.enter_context(Client(first.address, **PATIENT))  # type: ignore[arg-type]
        with client.stream() as stream:
            for number in range(4_000):
                if number == 2_000:
                    # Batches of it are under way.
                    first.kill()
                    running.enter_context(serving(database, listen=first.address))
                stream.update("card", ENTITIES[number % 20], n=inc(1))
        assert stream.result.written == 4_000
        assert sum(each["n"] for each in client.list("card")) == 4_000


def test_callers_do_not_notice_that_one_of_two_servers_stops(database: str) -> None:
    with serving(database, drain_delay=1) as first, serving(database, drain_delay=1) as second:
        both = f"ipv4:{first.address},{second.address}"
        counted = count_while(both, "card", first.stop)
        assert total(second.address, "card") == counted


def test_callers_wait_out_a_server_that_has_too_much_to_do(database: str) -> None:
    with serving(database, max_waiting=2) as server:

        async def crowd() -> None:
            async with AsyncClient(server.address, **PATIENT) as client:  # type: ignore[arg-type]
                calls = (client.update("card", "1", n=inc(1)) for _ in range(200))
                await asyncio.gather(*calls)
                assert (await client.get("card", "1"))["n"] == 200

        asyncio.run(crowd())


def test_a_server_with_tls_certificates_and_tokens_is_asked(database: str, tmp_path: Path) -> None:
    with Fortress(tmp_path).serving(database) as fortress:
        who = OWNER
        certificate, key = fortress.client_files
        with Client(
            fortress.server.address,
            ca=fortress.client_ca,
            certificate=certificate,
            key=key,
            token=lambda: fortress.issuer.token(who),
        ) as client:
            client.update("card", "1", n=1)
            # Certificates are replaced while the server runs; new connections meet the new one.
            fortress.swap_certificate("server-2")
            client.update("card", "1", n=2)
            assert client.get("card", "1")["n"] == 2
            who = READER
            with pytest.raises(PermissionDenied) as refused:
                client.update("card", "1", n=3)
            assert refused.value.metadata["refused"] == "write card"
            who = service_account("stranger")
            with pytest.raises(NotAllowed):
                client.get("card", "1")


async def test_nothing_is_left_behind(server: Server, kind: str) -> None:
    def left() -> tuple[set[str], set[str]]:
        threads = {each.name for each in threading.enumerate() if "featom" in each.name}
        return threads, {task.get_name() for task in asyncio.all_tasks()}

    before = left()
    with Client(server.address) as client:
        client.write([{"entity_id": str(number), "x": 1} for number in range(500)], kind)
        stream = client.stream()
        for number in range(500):
            stream.update(kind, str(number), x=2)
        with pytest.raises(RuntimeError, match="enough"), stream:
            raise RuntimeError("enough")
    async with AsyncClient(server.address) as asynchronous:
        await asynchronous.write([{"entity_id": str(n), "x": 1} for n in range(500)], kind)
        writing = asyncio.create_task(
            asynchronous.write(({"entity_id": "a", "x": n} for n in range(10**9)), kind)
        )
        await asyncio.sleep(0.5)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert left() == before


def test_an_asynchronous_client_serves_one_event_loop_after_another(
    server: Server, kind: str
) -> None:
    client = AsyncClient(server.address)
    for _ in range(3):
        asyncio.run(client.update(kind, "1", n=inc(1)))

    async def ending() -> int:
        async with client:
            count: int = (await client.get(kind, "1"))["n"]
            return count

    assert asyncio.run(ending()) == 3
