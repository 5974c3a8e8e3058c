"""The client, and the contract's stubs, work with the oldest protobuf and grpcio and the newest.

Each has an environment of its own, in which pip installs what it needs.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.serving import Server

ROOT = Path(__file__).parents[2]
OLDEST = ("protobuf==4.25.*", "grpcio==1.60.*")
NEWEST = ("protobuf", "grpcio")
BROUGHT_BY_OTHERS = {"pip", "setuptools", "typing_extensions"}
"""What venv puts there, and what grpcio itself needs."""

BY_THE_CLIENT = """
import asyncio, sys
from featom_client import AsyncClient, Client, inc

address, kind = sys.argv[1:]
with Client(address) as client:
    client.update(kind, "1", payments=inc(1), last_country="NO", scores=[1.0, 2.0])
    client.write([{"entity_id": str(number), "x": number} for number in range(300)], kind)
    card = client.get(kind, "1")
    assert dict(card) == {"last_country": "NO", "payments": 1, "scores": [1.0, 2.0], "x": 1}, card
    try:
        client.update(kind, "1", payments="one", x="two")
    except ValueError as error:
        assert error.reason == "INVALID_VALUE" and len(error.violations) == 2, error
    else:
        raise AssertionError

async def ask():
    async with AsyncClient(address) as client:
        assert (await client.get_many(kind, ["1", "none"])).missing == ("none",)

asyncio.run(ask())
"""

BY_THE_STUBS = """
import sys
import grpc
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.feature_store_pb2 import FeatureUpdate, GetAggregateRequest, UpdateFeaturesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from featom_client import Client

address, kind = sys.argv[1:]
key = EntityKey(entity_type=kind, entity_id="stubs")
change = FeatureUpdate(name="n", increment=FeatureValue(int64_value=1))
with grpc.insecure_channel(address) as channel, Client(address) as client:
    store = FeatureStoreServiceStub(channel)
    store.UpdateFeatures(UpdateFeaturesRequest(key=key, updates=[change]), timeout=30)
    read = store.GetAggregate(GetAggregateRequest(key=key), timeout=30).aggregate
    assert read.features["n"].value.int64_value == client.get(kind, "stubs")["n"] == 1
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = (
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        folder,
    )
    subprocess.run(command, cwd=ROOT / "client", check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_client_and_nothing_of_others(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"featom_client/contract.binpb", "featom_client/py.typed"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"featom_client"}
    assert not [name for name in names if "_pb2" in name]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("python", "packages"),
    [
        ("3.10", OLDEST),
        ("3.11", OLDEST),
        ("3.11", NEWEST),
        ("3.13", NEWEST),
    ],
    ids=lambda each: {OLDEST: "oldest", NEWEST: "newest"}.get(each, each),
)
def test_client_and_stubs_work_with_these_versions(
    server: Server, kind: str, wheel: Path, tmp_path: Path, python: str, packages: Sequence[str]
) -> None:
    subprocess.run((interpreter(python), "-m", "venv", str(tmp_path / "venv")), check=True)
    own = tmp_path / "venv/bin/python"
    install(own, str(wheel), *packages)
    assert installed(own) - BROUGHT_BY_OTHERS == {"featom-client", "grpcio", "protobuf"}
    run(own, BY_THE_CLIENT, server.address, kind)
    # The stubs need the messages of google.rpc, and are not in the wheel.
    install(own, "googleapis-common-protos", *packages)
    run(own, BY_THE_STUBS, server.address, kind, PYTHONPATH=str(ROOT / "generated"))


def interpreter(version: str) -> str:
    """That of the tests, or another one that this machine has; skips the test if it has none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for candidate in (
        f"python{version}",
        *map(str, pyenv.glob(f"versions/{version}.*/bin/python")),
    ):
        found = shutil.which(candidate)
        # What pyenv has in the PATH need not be there.
        if (
            found
            and subprocess.run((found, "-V"), capture_output=True, check=False).returncode == 0
        ):
            return found
    pytest.skip(f"there is no Python {version} on this machine")


def install(python: Path, *packages: str) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
    subprocess.run((str(python), "-m", "pip", "install", *options, *packages), check=True)


def installed(python: Path) -> set[str]:
    command = (
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "list",
        "--format",
        "freeze",
    )
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line.partition("==")[0].partition(" @")[0] for line in listed.splitlines()}


def run(python: Path, program: str, *arguments: str, **environment: str) -> None:
    command = (str(python), "-W", "error", "-c", program, *arguments)
    subprocess.run(command, check=True, env=os.environ | environment, timeout=120)
