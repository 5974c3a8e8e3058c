"""Run the image as Kubernetes would, and print what was seen: `make image-check`.

It needs Docker, the image, and an image of PostgreSQL that takes the variables of the official one.
The migration runs as the owner of the database and the server in a role of its own, each with its
password in a file. Every container and network that it makes is gone at its end. Exits 1 at the
first thing that is not as it should be.
"""

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from featom.v1 import aggregate_pb2, feature_store_pb2, feature_store_pb2_grpc, value_pb2

RUN: Final = f"featom-check-{secrets.token_hex(3)}"
POSTGRES: Final = f"{RUN}-postgres"
OWNER: Final = "featom"
APP_ROLE: Final = "featom_server"
KEY: Final = aggregate_pb2.EntityKey(entity_type="customer", entity_id="42")
# As deploy/kubernetes/base restricts the pod.
RESTRICTED: Final = (
    "--read-only",
    "--tmpfs=/tmp:rw,noexec,nosuid,size=16m",
    "--user=10001:10001",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=1g",
)
SERVING: Final = health_pb2.HealthCheckResponse.SERVING


def main(image: str, postgres_image: str) -> None:
    look_inside(image)
    with (
        password_file() as owners,
        password_file() as servers,
        network(),
        postgres(postgres_image, owners),
    ):
        make_app_role(servers)
        with server(image, servers) as name:
            clients, probes = (f"127.0.0.1:{port_of(name, port)}" for port in (50051, 50052))
            before_migration(probes)
            migrate(image, owners)
            update_and_read(clients, probes)
            cannot_change_the_schema(servers)
            drain(name)


def look_inside(image: str) -> None:
    """What must not be there is not there, and what must be is."""
    absent = ("gcc", "cc", "g++", "make", "pytest", "mypy", "ruff")
    script = f"for tool in {' '.join(absent)}; do command -v $tool && exit 1; done; id -u"
    uid = docker("run", "--rm", "--entrypoint=sh", image, "-c", script)
    seen("uid, and none of " + ", ".join(absent), uid)
    sbom = json.loads(
        docker("run", "--rm", "--entrypoint=cat", image, "/opt/featom/share/featom/sbom.cdx.json")
    )
    seen("components in the SBOM", len(sbom["components"]))
    if not sbom["components"]:
        raise SystemExit("the SBOM is empty")


def before_migration(probes: str) -> None:
    expect("liveness before the migration", "liveness", SERVING, probes)
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    expect("readiness before the migration", "readiness", not_serving, probes)


def make_app_role(password: Path) -> None:
    """The role of the servers, without any right: the migration gives it those."""
    statement = f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{password.read_text()}'"
    psql = ("psql", f"--username={OWNER}", f"--dbname={OWNER}", "--set=ON_ERROR_STOP=1")
    seen("as the owner", docker("exec", "--interactive", POSTGRES, *psql, given=statement))


def migrate(image: str, password: Path) -> None:
    command = ("migrate", "up", f"--app-role={APP_ROLE}")
    for what in ("featom migrate up", "featom migrate up, again"):
        seen(what, docker("run", "--rm", *placed(OWNER, password), image, *command))


def cannot_change_the_schema(password: Path) -> None:
    """The role of the servers cannot change the schema."""
    psql = ("psql", "--host=127.0.0.1", f"--username={APP_ROLE}", f"--dbname={OWNER}")
    secret = f"PGPASSWORD={password.read_text()}"
    done = run("exec", f"--env={secret}", POSTGRES, *psql, "--command=DROP TABLE aggregates")
    seen("DROP TABLE in the role of the servers", done.stderr.strip())
    if "must be owner" not in done.stderr:
        raise SystemExit("the role of the servers can do more than it should")


def update_and_read(clients: str, probes: str) -> None:
    expect("readiness after the migration", "readiness", SERVING, probes)
    with grpc.insecure_channel(clients) as channel:
        store = feature_store_pb2_grpc.FeatureStoreServiceStub(channel)
        value = value_pb2.FeatureValue(int64_value=7)
        update = feature_store_pb2.FeatureUpdate(name="clicks", set=value)
        request = feature_store_pb2.UpdateFeaturesRequest(key=KEY, updates=[update])
        seen("version after an update", store.UpdateFeatures(request, timeout=10).version)
        read = store.GetAggregate(feature_store_pb2.GetAggregateRequest(key=KEY), timeout=10)
    if read.aggregate.features["clicks"].value != value:
        raise SystemExit(f"read {read}")
    seen("clicks, as read", read.aggregate.features["clicks"].value.int64_value)
    with grpc.insecure_channel(probes) as channel:
        store = feature_store_pb2_grpc.FeatureStoreServiceStub(channel)
        try:
            store.UpdateFeatures(request, timeout=10)
        except grpc.RpcError as error:
            seen("an update on the health port", error.code().name)
        else:
            raise SystemExit("the health port takes updates")


def drain(name: str) -> None:
    started = time.monotonic()
    docker("kill", "--signal=TERM", name)
    code = docker("wait", name)
    seen("exit code after SIGTERM", f"{code}, after {time.monotonic() - started:.1f} s")
    if code != "0":
        raise SystemExit(docker("logs", name))


@contextmanager
def network() -> Iterator[None]:
    docker("network", "create", RUN)
    try:
        yield
    finally:
        docker("network", "rm", RUN)


@contextmanager
def password_file() -> Iterator[Path]:
    """A password for the run, in a file that the server's user may read too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "password"
        file.write_text(secrets.token_urlsafe(16))
        file.chmod(0o644)
        yield file


@contextmanager
def postgres(image: str, password: Path) -> Iterator[None]:
    """A PostgreSQL for the run, at POSTGRES in its network."""
    given = {
        "POSTGRES_USER": OWNER,
        "POSTGRES_DB": OWNER,
        "POSTGRES_PASSWORD": password.read_text(),
    }
    environment = [f"--env={key}={value}" for key, value in given.items()]
    with container(POSTGRES, f"--network={RUN}", *environment, image):
        # Over TCP: the server that only makes the cluster listens on a socket alone.
        wait_until(lambda: passes("exec", POSTGRES, "pg_isready", "--host=127.0.0.1"))
        yield


@contextmanager
def server(image: str, password: Path) -> Iterator[str]:
    name = f"{RUN}-server"
    settings = ("--listen=0.0.0.0:50051", "--health-listen=0.0.0.0:50052", "--allow-insecure")
    ports = ("--publish=127.0.0.1::50051", "--publish=127.0.0.1::50052")
    with container(
        name, *placed(APP_ROLE, password), *ports, image, "serve", *settings, "--drain-delay=1"
    ):
        yield name


@contextmanager
def container(name: str, *arguments: str) -> Iterator[None]:
    docker("run", "--detach", f"--name={name}", *arguments)
    try:
        yield
    finally:
        docker("rm", "--force", "--volumes", name)


def placed(role: str, password: Path) -> tuple[str, ...]:
    """Restricted, and with the database of the run, as the manifests give it to a pod."""
    return (
        *RESTRICTED,
        f"--network={RUN}",
        f"--volume={password.parent}:/run/secrets/featom:ro",
        f"--env=FEATOM_DSN=postgresql://{role}@{POSTGRES}/{OWNER}",
        "--env=FEATOM_PASSWORD_FROM=file:/run/secrets/featom/password",
    )


def port_of(name: str, port: int) -> str:
    return docker("port", name, str(port)).rpartition(":")[2]


def expect(what: str, service: str, status: int, address: str) -> None:
    """Wait for the status of a service on the health port."""

    def asked() -> bool:
        with grpc.insecure_channel(address) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answer = check(health_pb2.HealthCheckRequest(service=service), timeout=2)
                return bool(answer.status == status)
            except grpc.RpcError:
                return False

    wait_until(asked)
    seen(what, health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    latest = time.monotonic() + seconds
    while not true():
        if time.monotonic() > latest:
            raise SystemExit("waited in vain")
        time.sleep(0.2)


def passes(*arguments: str) -> bool:
    return run(*arguments).returncode == 0


def docker(*arguments: str, given: str = "") -> str:
    done = run(*arguments, given=given)
    if done.returncode != 0:
        raise SystemExit(f"docker {arguments[0]}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def run(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """`given` is its standard input."""
    command = ("docker", *arguments)
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def seen(what: str, value: object) -> None:
    print(f"{what}: {value}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
