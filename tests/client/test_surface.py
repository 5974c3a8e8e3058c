"""What the client offers, and what it needs, without a server."""

import inspect
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import featom_client
import pytest
from featom_client import (
    AsyncBatch,
    AsyncClient,
    AsyncStream,
    Batch,
    Client,
    FeatomError,
    Stream,
    Timeouts,
    Violation,
)
from featom_client.connection import Connection, from_environment
from featom_client.errors import REASONS
from featom_client.retries import Retry

ROOT = Path(__file__).parents[2]


def public(kind: type) -> dict[str, inspect.Signature]:
    """The signatures of what a class offers, but for what they return."""
    return {
        name.replace("__a", "__"): inspect.signature(member).replace(
            return_annotation=inspect.Signature.empty
        )
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name in {"__init__", "__enter__", "__aenter__"}
    }


@pytest.mark.parametrize(
    ("waiting", "asynchronous"), [(Client, AsyncClient), (Stream, AsyncStream), (Batch, AsyncBatch)]
)
def test_what_waits_and_what_is_asynchronous_have_the_same_names_and_parameters(
    waiting: type, asynchronous: type
) -> None:
    own, others = public(waiting), public(asynchronous)
    if waiting is not Client:
        # They are made by clients, with the way in which these make calls.
        del own["__init__"], others["__init__"]
    assert own == others


def test_all_that_is_offered_is_there() -> None:
    assert len(set(featom_client.__all__)) == len(featom_client.__all__)
    for name in featom_client.__all__:
        assert hasattr(featom_client, name)


def test_every_reason_of_the_server_is_an_error_of_its_own() -> None:
    table = (ROOT / "docs/errors.md").read_text().partition("| Code | Reason |")[2]
    reasons = set(re.findall(r"^\| `[A-Z_]+` \| `([A-Z_]+)` \|", table, re.MULTILINE))
    assert len(reasons) > 15
    # Health is not asked for through the client.
    assert reasons - {"SERVICE_NOT_FOUND"} == set(REASONS)


def leaves(kind: type[FeatomError]) -> Iterator[type[FeatomError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from leaves(each)


def test_the_tree_of_errors_is_that_of_its_docstring() -> None:
    drawn = set(re.findall(r"\b[A-Z][a-z]\w+\b", featom_client.errors.__doc__ or ""))
    ours = {kind.__name__ for kind in leaves(FeatomError) if kind.__module__.endswith("errors")}
    assert ours <= drawn


@pytest.mark.parametrize("kind", list(leaves(FeatomError)), ids=lambda kind: kind.__name__)
def test_an_error_goes_to_another_process_with_all_that_it_says(kind: type[FeatomError]) -> None:
    error = kind("why")
    error.reason, error.violations, error.request_id = "X", (Violation("a", "b"),), "id"
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is kind
    assert str(copied) == str(error) == "why"
    assert vars(copied) == vars(error)


def test_the_service_config_is_the_one_that_is_shipped_but_for_its_retries() -> None:
    folder = ROOT / "deploy/client"
    for one_address, file in ((False, "service_config"), (True, "service_config_one_address")):
        shipped = json.loads((folder / f"{file}.json").read_text())
        del shipped["methodConfig"]
        assert Connection("x:1", one_address=one_address).service_config() == shipped


@pytest.mark.parametrize(
    "table", ["numpy", "pandas", "pyarrow", "polars", "yaml", "server", "featom"]
)
def test_nothing_is_imported_that_is_not_needed(table: str) -> None:
    program = "import sys, featom_client; print([name.partition('.')[0] for name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "'featom_client'" in loaded
    assert f"'{table}'" not in loaded


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "FEATOM_TARGET"),
        ({"target": "a:1", "certificate": "x"}, "given together"),
        ({"target": "far:1", "token": "secret"}, "unencrypted"),
    ],
)
def test_a_connection_that_cannot_be_meant_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_environment(given, {})


def test_what_is_not_given_comes_from_the_environment(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    environment = {
        "FEATOM_TARGET": "far:1",
        "FEATOM_CLIENT_TLS": "true",
        "FEATOM_CLIENT_TOKEN_FILE": str(token),
    }
    connection = from_environment({"target": None}, environment)
    assert connection.target == "far:1"
    assert connection.secure
    assert connection.metadata() == (("authorization", "Bearer first"),)
    token.write_text("second\n")
    assert connection.metadata() == (("authorization", "Bearer second"),)
    assert from_environment({"target": "near:1"}, environment).target == "near:1"
    with pytest.raises(ValueError, match="FEATOM_CLIENT_TLS"):
        from_environment({}, environment | {"FEATOM_CLIENT_TLS": "perhaps"})


def test_time_outs_and_retries_that_cannot_be_meant_are_refused() -> None:
    for wrong in ({"call": 0.0}, {"attempt": -1.0}, {"job": float("inf")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Timeouts(**wrong)
    with pytest.raises(ValueError, match="attempts"):
        Retry(attempts=0)


def test_pauses_are_drawn_from_all_of_a_span_that_doubles() -> None:
    retry = Retry(pause=1.0, longest_pause=4.0)
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0), (5_000, 4.0)):
        drawn = [retry.pause_after(attempt, asked=10.0) - 10.0 for _ in range(500)]
        assert 0 <= min(drawn) < longest / 4
        assert longest * 3 / 4 < max(drawn) <= longest
