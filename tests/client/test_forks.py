"""A client goes on in processes that were forked from the one that made it."""

import subprocess
import sys

import pytest
from featom_client import Client

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
        pool.map(count, range(9))
else:
    for _ in range(3):
        child = os.fork()
        if not child:
            for _ in range(3):
                count()
            client.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
count()
client.close()
"""


@pytest.mark.parametrize(
    ("way", "counted"),
    [("before its first call", 10), ("after its first call", 11), ("by multiprocessing", 11)],
)
def test_a_client_works_in_a_forked_process(
    server: Server, client: Client, kind: str, way: str, counted: int
) -> None:
    subprocess.run(
        [sys.executable, "-c", PROGRAM, server.address, kind, way], check=True, timeout=90
    )
    assert client.get(kind, "1")["n"] == counted
