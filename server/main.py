"""The composition root: the only module that knows which parts the server is made of."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import grpc
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from repository.migrations import migrate
from repository.password import Password, password_from
from repository.postgres import PostgresOptions, PostgresRepository
from repository.probe import PostgresProbe
from server import garbage
from server.applying import EntityTypes
from server.decoding import Decoder
from server.embedded_postgres import EmbeddedPostgres
from server.entity_types import SERVICE as TYPES_SERVICE
from server.entity_types import EntityTypeServicer
from server.feature_store import SERVICE, FeatureStore
from server.health import Health
from server.health_port import serving_health
from server.listening import listen
from server.registration import register
from server.settings import Settings
from server.stages import Stage, access_logged, with_errors
from server.supervision import keep_running

STAGES: Final[Sequence[Stage]] = (access_logged, with_errors)
HEALTH_SERVICE: Final = "grpc.health.v1.Health"

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    # From the first moment on: as process 1 of a container we get no signal that we do not handle.
    stop = _stop_signal()
    async with _database(settings) as dsn:
        await _serve_on(dsn, settings, stop)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the database that is given, or of one of our own."""
    if settings.dsn is not None:
        yield settings.dsn
        return
    postgres = EmbeddedPostgres(settings.data_dir / "postgres")
    log.info("PostgreSQL in %s: %s", settings.data_dir, await asyncio.to_thread(postgres.start))
    try:
        for revision in await migrate(postgres.dsn):
            log.info("migrated to %s", revision)
        supervisor = asyncio.create_task(keep_running(postgres))
        yield postgres.dsn
        await _cancel(supervisor)
    finally:
        await asyncio.to_thread(postgres.stop)


async def _serve_on(dsn: str, settings: Settings, stop: asyncio.Event) -> None:
    password = password_from(settings.password_from)
    repository = PostgresRepository(dsn, _options(settings, password))
    probe = PostgresProbe(dsn, password)
    health = Health([SERVICE.full_name, TYPES_SERVICE.full_name], probe, settings.probe_interval)
    server = _server(settings)
    add_HealthServicer_to_server(health.servicer, server)
    draining = asyncio.Event()
    decode = Decoder(settings.max_message_bytes)
    servicer = FeatureStore(repository, repository, settings.limits, decode, draining)
    register(server, SERVICE, servicer, STAGES)
    types = EntityTypes(repository.entity_types, repository.compiler, settings.limits)
    types_servicer = EntityTypeServicer(types, repository.entity_types, decode)
    register(server, TYPES_SERVICE, types_servicer, STAGES)
    reflection.enable_server_reflection(
        (SERVICE.full_name, TYPES_SERVICE.full_name, HEALTH_SERVICE, reflection.SERVICE_NAME),
        server,
    )
    port = listen(server, settings.listen)
    await repository.open()
    await health.start()
    # The health port is the last to close, so that probes see the whole drain.
    async with serving_health(health.servicer, settings.health_listen):
        await server.start()
        garbage.settle()
        watch = asyncio.create_task(health.watch())
        log.info("serving on %s:%d", settings.listen.rpartition(":")[0], port)
        try:
            await stop.wait()
            log.info("draining")
            await health.drain()
            await asyncio.sleep(settings.drain_delay)
        finally:
            draining.set()
            health.end_watches()
            await server.stop(settings.drain_grace)
            await _cancel(watch)
            await repository.close()
            await probe.close()
            log.info("stopped")


def _options(settings: Settings, password: Password | None) -> PostgresOptions:
    return PostgresOptions(
        limits=settings.limits,
        lanes=settings.lanes,
        readers=settings.readers,
        max_waiting=settings.max_waiting,
        statement_timeout=settings.statement_timeout,
        remember_requests=timedelta(hours=settings.request_id_hours),
        password=password,
    )


def _server(settings: Settings) -> grpc.aio.Server:
    age = int(settings.max_connection_age * 1_000)
    return grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            # Beyond our own limit, so that the answer is ours; and a bound all the same.
            ("grpc.max_receive_message_length", 2 * settings.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Above what the repository lets wait, so that the caller gets its UNAVAILABLE.
            ("grpc.server.max_pending_requests", 4 * settings.max_waiting),
            ("grpc.server.max_pending_requests_hard_limit", 8 * settings.max_waiting),
            # Clients look for new servers when they connect, so they must connect now and then.
            ("grpc.max_connection_age_ms", age),
            ("grpc.max_connection_age_grace_ms", 30_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ]
    )


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one ends the process as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
