"""A client goes on in processes that were forked from the one that made it."""

import os
import subprocess
import sys

import pytest
from featom_client import Client, Timeouts
from featom_client.channels import Channel
from featom_client.connection import Connection
from featom_client.contract import FEATURE_STORE

from tests.kit.serving import Server

PROGRAM = """
import multiprocessing, os, sys
from featom_client import Client, inc

address, kind, way = sys.argv[1:]
client = Client(address)


def count(_=None):
    client.update(kind, "1", n=inc(1))
    return client.get(kind, "1")["n"]


if way != "before its first call":
    count()
if way == "by multiprocessing":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(count, range(300))
else:
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            for _ in range(100):
                count()
            client.close()
            os._exit(0)
        children.append(child)
    # Beside them, so that a connection that is not each one's own is found out.
    for _ in range(100):
        count()
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
count()
client.close()
"""


@pytest.mark.parametrize(
    ("way", "counted"),
    [("before its first call", 401), ("after its first call", 402), ("by multiprocessing", 302)],
)
def test_a_client_works_in_a_forked_process(
    server: Server, client: Client, kind: str, way: str, counted: int
) -> None:
    subprocess.run(
        [sys.executable, "-c", PROGRAM, server.address, kind, way], check=True, timeout=90
    )
    assert client.get(kind, "1")["n"] == counted


def test_a_forked_process_makes_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(Connection("127.0.0.1:1"), Timeouts())
    inherited = channel.method(f"{FEATURE_STORE}GetAggregate")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    own = channel.method(f"{FEATURE_STORE}GetAggregate")
    assert own is not inherited
    assert channel.method(f"{FEATURE_STORE}GetAggregate") is own
    channel.close()
