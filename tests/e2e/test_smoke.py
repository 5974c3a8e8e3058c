"""`featom smoke` says whether a server writes and reads, and finds out one that lies."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from cli.main import app
from featom.v1.aggregate_pb2 import Feature, FeatureAggregate
from featom.v1.feature_store_pb2 import (
    GetAggregateRequest,
    GetAggregateResponse,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from featom.v1.feature_store_pb2_grpc import (
    FeatureStoreServiceServicer,
    add_FeatureStoreServiceServicer_to_server,
)
from featom.v1.value_pb2 import FeatureValue
from tests.kit.issuer import service_account
from tests.kit.secured_server import NOBODY, Fortress
from tests.kit.serving import serving

SMOKE = service_account("featom-smoke", "featom")
GRANTS = f"""
grants:
  - principals: ["jwt:{SMOKE}"]
    read: [featom_smoke]
    write: [featom_smoke]
"""


def smoke(**options: object) -> tuple[int, str, str]:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = CliRunner().invoke(app, ["smoke", *given])
    return done.exit_code, done.stdout, done.stderr


def test_each_run_adds_one_and_says_so_in_a_line(database: str) -> None:
    with serving(database) as server:
        for run in (1, 2):
            code, said, problem = smoke(target=server.address)
            assert (code, problem) == (0, "")
            assert re.fullmatch(
                rf"{server.address}: wrote and read featom_smoke/counter in \d+\.\d+ s:"
                rf' count {run}, version {run}, etag ".+"\n',
                said,
            )
        code, said, _ = smoke(target=server.address, entity_type="canary")
        assert (code, "canary/counter" in said, "count 1," in said) == (0, True, True)
    code, said, problem = smoke(target=server.address)
    assert (code, said) == (6, "")
    assert problem.startswith(f"featom: {server.address} cannot be reached: ")


def test_it_asks_over_tls_with_the_token_of_its_service_account(
    database: str, tmp_path: Path
) -> None:
    fortress = Fortress(tmp_path)
    fortress.authorization.write_text(GRANTS)
    with fortress.serving(database, auth="jwt", tls_client_ca="") as secured:
        token = tmp_path / "token"
        options = {
            "target": secured.server.address,
            "tls_ca": tmp_path / "ca.crt",
            "token_file": token,
        }
        token.write_text(secured.issuer.token(SMOKE))
        assert smoke(**options)[0] == 0
        token.write_text(secured.issuer.token(NOBODY))
        code, _, problem = smoke(**options)
        assert (code, "PERMISSION_DENIED" in problem) == (7, True)


class Store(FeatureStoreServiceServicer):
    """Holds one counter, and does not keep to its contract where it is told not to."""

    def __init__(self, broken: str) -> None:
        self._broken = broken
        self._outcomes: dict[str, UpdateFeaturesResponse] = {}
        self._count = 0

    def UpdateFeatures(
        self, request: UpdateFeaturesRequest, context: grpc.ServicerContext
    ) -> UpdateFeaturesResponse:
        known = self._outcomes.get(request.request_id)
        if known is not None and self._broken != "applies a request twice":
            return UpdateFeaturesResponse(
                version=known.version, etag=known.etag, replayed=True, aggregate=known.aggregate
            )
        self._count += 1
        made = self._aggregate()
        outcome = UpdateFeaturesResponse(version=made.version, etag=made.etag, aggregate=made)
        self._outcomes[request.request_id] = outcome
        return outcome

    def GetAggregate(
        self, request: GetAggregateRequest, context: grpc.ServicerContext
    ) -> GetAggregateResponse:
        found = self._aggregate()
        if self._broken == "reads an older version":
            found.version -= 1
        elif self._broken == "reads another value":
            found.features["count"].value.int64_value += 1
        elif self._broken == "reads another etag":
            found.etag = '"other"'
        elif self._broken == "loses the counter":
            del found.features["count"]
        elif self._broken == "nothing: another run comes between":
            self._count += 1
            found = self._aggregate()
        return GetAggregateResponse(aggregate=found)

    def _aggregate(self) -> FeatureAggregate:
        value = FeatureValue(int64_value=self._count)
        return FeatureAggregate(
            version=self._count,
            etag=f'"{self._count}"',
            features={"count": Feature(value=value, version=self._count)},
        )


@pytest.fixture
def serve() -> Iterator[Callable[[str], str]]:
    """Serve a store in this process; gives its address."""
    servers: list[grpc.Server] = []
    store: Any = Store  # of which the other methods stay as they are: unimplemented

    def started(broken: str) -> str:
        server = grpc.server(ThreadPoolExecutor(1))
        add_FeatureStoreServiceServicer_to_server(store(broken), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield started
    for each in servers:
        each.stop(None).wait()


@pytest.mark.parametrize("broken", ["nothing", "nothing: another run comes between"])
def test_a_store_that_keeps_its_contract_passes(broken: str, serve: Callable[[str], str]) -> None:
    assert smoke(target=serve(broken))[0] == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("applies a request twice", "answered with version 1, then with version 2"),
        ("reads an older version", 'version 1, etag "1", but read count 1, version 0'),
        ("reads another value", 'but read count 2, version 1, etag "1"'),
        ("reads another etag", 'but read count 1, version 1, etag "other"'),
        ("loses the counter", "but read count 0, version 1"),
    ],
)
def test_a_store_that_lies_is_told(broken: str, said: str, serve: Callable[[str], str]) -> None:
    address = serve(broken)
    code, out, problem = smoke(target=address)
    assert (code, out, len(problem.splitlines())) == (1, "", 1)
    assert problem.startswith(f"featom: {address}: ")
    assert said in problem
