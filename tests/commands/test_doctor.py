"""`featom doctor` finds what is wrong, and says what to do about it."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Featom
from tests.kit.authority import Authority
from tests.kit.roles import as_app_role
from tests.kit.secured_server import NOBODY, OWNER, Fortress
from tests.kit.serving import serving


def findings(told: str) -> dict[str, dict[str, str]]:
    """By the name of the check."""
    return {each["check"]: each for each in map(json.loads, told.splitlines())}


def test_all_is_well_with_a_server_that_serves(featom: Featom, shared_database: str) -> None:
    done = featom("doctor", "--json", "--dsn", as_app_role(shared_database))
    assert done.code == 0
    found = findings(done.out)
    # The tests' own PostgreSQL is not safe from crashes, and is told of.
    database = found["database"]
    assert (database["verdict"], "off: fsync" in database["said"]) == ("warning", True)
    others = {name: each for name, each in found.items() if name != "database"}
    assert {each["verdict"] for each in others.values()} == {"ok"}
    assert {"address", "connection", "health readiness", "read", "entity types", "write"} <= set(
        found
    )
    assert "clocks agree" in found["write"]["said"]
    assert "UTF8, a primary" in found["database"]["said"]
    assert found["servers"]["said"] == "1 connected, of build 1"
    assert {"partitions of changes", "partitions of requests"} <= set(found)


def test_nothing_is_written(featom: Featom) -> None:
    assert featom("doctor").code == 0
    assert featom("list", "featom_doctor", "--json").out == ""


@pytest.mark.parametrize(
    ("target", "check", "said", "step"),
    [
        ("no-such-host.invalid:50051", "address", "has no address", "DNS"),
        ("127.0.0.1:1", "connection", "refused", "listens on port 1"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_apart(
    target: str, check: str, said: str, step: str, featom: Featom
) -> None:
    done = featom("doctor", "--json", "--target", target)
    assert done.code == 1
    found = findings(done.out)
    assert list(found)[-1] == check
    assert found[check]["verdict"] == "problem"
    assert said in found[check]["said"]
    assert step in found[check]["next"]


def test_a_server_that_lost_its_database_is_alive_and_not_ready(featom: Featom) -> None:
    nowhere = "postgresql://featom@127.0.0.1:1/featom?connect_timeout=1"
    with serving(nowhere, ready=False) as unready:
        done = featom("doctor", "--json", "--target", unready.address, "--timeout", 2)
    found = findings(done.out)
    assert done.code == 1
    assert found["health liveness"]["verdict"] == "ok"
    assert found["health readiness"]["verdict"] == "problem"
    assert "log" in found["health readiness"]["next"]
    assert found["read"]["verdict"] == "problem"


def test_tls_tokens_and_grants_are_looked_at(featom: Featom, database: str, tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    with fortress.serving(database, auth="jwt", tls_client_ca="") as secured:
        ca, token = tmp_path / "ca.crt", tmp_path / "token"

        def doctor(**options: Any) -> dict[str, dict[str, str]]:
            given = {"target": secured.server.address, "tls_ca": ca, "token_file": token} | options
            flags = [
                f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value
            ]
            return findings(featom("doctor", "--json", *flags).out)

        token.write_text(secured.issuer.token(OWNER))
        well = doctor()
        assert "a certificate for" in well["tls"]["said"]
        assert (well["token"]["verdict"], well["read"]["verdict"]) == ("ok", "ok")

        token.write_text(secured.issuer.token(NOBODY))
        nobody = doctor()
        assert nobody["read"]["verdict"] == "unknown"
        assert "authorization file" in nobody["read"]["next"]

        token.write_text(secured.issuer.token(OWNER, exp=int(time.time()) - 3600))
        assert "expired" in doctor()["token"]["said"]

        token.write_text(secured.issuer.token(OWNER))
        stranger = tmp_path / "stranger.crt"
        stranger.write_bytes(Authority("stranger").certificate)
        assert "not vouched for" in doctor(tls_ca=stranger)["tls"]["said"]
        assert "speaks TLS" in doctor(tls_ca=None, token_file=None)["tls"]["said"]


@pytest.mark.parametrize(("days", "verdict"), [(3, "warning"), (300, "ok")])
def test_a_certificate_that_ends_soon_is_a_warning(
    days: int, verdict: str, featom: Featom, database: str, tmp_path: Path
) -> None:
    fortress = Fortress(tmp_path)
    issued = fortress.authority.issue("server", valid_for=timedelta(days=days))
    certificate, key = issued.write(tmp_path / "own")
    files = {"tls_cert": certificate, "tls_key": key}
    with fortress.serving(database, auth="jwt", tls_client_ca="", **files) as secured:
        target = secured.server.address
        done = featom("doctor", "--json", "--target", target, "--tls-ca", tmp_path / "ca.crt")
    found = findings(done.out)["tls"]
    assert (found["verdict"], "Renew" in found["next"]) == (verdict, verdict == "warning")


def test_a_database_without_a_schema_is_a_problem(featom: Featom, bare_database: str) -> None:
    found = findings(featom("doctor", "--json", "--dsn", bare_database).out)
    assert found["schema"]["verdict"] == "problem"
    assert "featom migrate" in found["schema"]["next"]


def test_a_database_that_is_not_there_is_a_problem(featom: Featom) -> None:
    dsn = "postgresql://featom@127.0.0.1:1/featom"
    done = featom("doctor", "--json", "--dsn", dsn)
    assert done.code == 1
    assert "cannot be reached" in findings(done.out)["database"]["said"]
