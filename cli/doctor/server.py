"""The server itself: whether it is well, and what it lets this caller do."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import grpc
from featom_client import (
    AggregateNotFound,
    Client,
    DatabaseUnavailable,
    FeatomError,
    NotAllowed,
    PermissionDenied,
    Timeouts,
)
from featom_client.channels import open_channel
from featom_client.connection import Connection
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from cli.connection.endpoint import Endpoint
from cli.connection.problems import described
from cli.doctor.findings import Finding, ok, problem, unknown, warning

PROBE: Final = "featom_doctor"
"""The entity type and id that are asked for; nothing is ever written there."""

_HEALTH: Final = {
    "liveness": "The process does not work: look into its log, and start it anew.",
    "readiness": "It has no database that it may use, or is stopping: its log says why;"
    " `featom doctor --dsn` looks at the database.",
    "featom.v1.FeatureStoreService": "As readiness.",
    "featom.v1.EntityTypeService": "As readiness.",
}
"""The names that the health service knows, with what to do if one is not SERVING."""
_SECONDS: Final = 5.0
_SKEW: Final = 1.0
"""Seconds between two clocks, beyond what the answer took, that are worth telling."""


def look_at_health(endpoint: Endpoint) -> Iterator[Finding]:
    """What the health service says, which is open to everybody."""
    with _channel(endpoint) as channel:
        yield from _statuses(channel)


def _channel(endpoint: Endpoint) -> grpc.Channel:
    # One that does not itself depend on health.
    connection = Connection(
        endpoint.target,
        tls=endpoint.tls,
        ca=endpoint.tls_ca,
        certificate=endpoint.tls_cert,
        key=endpoint.tls_key,
        server_name=endpoint.tls_server_name,
        one_address=True,
    )
    opened: grpc.Channel = open_channel(grpc, connection, Timeouts())
    return opened


def _statuses(channel: grpc.Channel) -> Iterator[Finding]:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    for name, next_step in _HEALTH.items():
        try:
            answer = check(HealthCheckRequest(service=name), timeout=_SECONDS)
        except grpc.RpcError as error:
            yield problem(f"health {name}", f"{error.code().name}: {error.details()}", next_step)
            continue
        status = HealthCheckResponse.ServingStatus.Name(answer.status)
        if answer.status == HealthCheckResponse.SERVING:
            yield ok(f"health {name}", status)
        else:
            yield problem(f"health {name}", status, next_step)


def look_at_calls(client: Client, endpoint: Endpoint) -> Iterator[Finding]:
    """Read, list types, and have a write checked that is not made."""
    yield _tried("read", lambda: _read(client), endpoint)
    yield _tried("entity types", lambda: _entity_types(client), endpoint)
    yield _tried("write", lambda: _clock(client), endpoint)


def _tried(check: str, look: Callable[[], Finding], endpoint: Endpoint) -> Finding:
    try:
        return look()
    except PermissionDenied as error:
        return unknown(
            check,
            f"this caller may not: {error.message}",
            "If it should be allowed, grant it in the server's authorization file"
            f" (docs/security.md); the doctor asks for the type {PROBE}.",
        )
    except (FeatomError, NotAllowed) as error:
        said, *more = described(error, endpoint).splitlines()
        next_step = " ".join(line.strip() for line in more)
        if isinstance(error, DatabaseUnavailable):
            next_step = "`featom doctor --dsn DSN` looks at the database itself."
        return problem(check, said, next_step)


def _read(client: Client) -> Finding:
    began = time.monotonic()
    with suppress(AggregateNotFound):  # as it should be
        client.get(PROBE, PROBE)
    return ok("read", f"answered in {(time.monotonic() - began) * 1_000:.1f} ms")


def _entity_types(client: Client) -> Finding:
    found = list(client.list_entity_types())
    rules = sum(len(each.rules) for each in found)
    return ok("entity types", f"{len(found):,} with {rules:,} rules can be read")


def _clock(client: Client) -> Finding:
    """A write that is only validated is answered with the time that the database has."""
    before = datetime.now(UTC)
    began = time.monotonic()
    answer = client.update(PROBE, PROBE, probe=True, validate_only=True)
    took = time.monotonic() - began
    ahead = (answer.update_time - before).total_seconds()
    # Its time is one during the call, unless the clocks differ.
    skew = ahead - took if ahead > took else min(ahead, 0.0)
    said = f"would be taken; answered in {took * 1_000:.1f} ms"
    if abs(skew) < _SKEW:
        return ok("write", f"{said}; the clocks agree")
    return warning(
        "write",
        f"{said}; the database's clock is {abs(skew):.1f} s"
        f" {'ahead of' if skew > 0 else 'behind'} the one here",
        "Synchronize both (NTP): event times of one clock are late, or ahead, by the other.",
    )
