"""The composition root: which parts the server is made of, and which repository it has."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import grpc

from application.entity_types import EntityTypes
from domain.limits import DEFAULT_LIMITS
from repository.connections.probe import PostgresProbe
from repository.credentials import Password, password_from
from repository.migrations import migrate
from repository.migrations.window import BUILD
from repository.postgres import PostgresOptions, PostgresRepository
from runtime.supervision import supervised, watch_the_rest
from server.access.access import access_of
from server.embedded_postgres import EmbeddedPostgres
from server.embedded_postgres.supervision import keep_running
from server.health.health import Health
from server.health.service import SERVICE as HEALTH_SERVICE
from server.health.service import HealthService, Watches, serving_health
from server.instrumentation import (
    Tracing,
    common_middleware,
    metrics_of,
    serving_metrics_on,
    tracing_of,
)
from server.process import resources
from server.process.logs import LOST_LINES
from server.process.watched_files import Reloads
from server.rpc.decoding import Decoder, RememberingDecoder
from server.rpc.listening import health_options, listen, store_options
from server.rpc.middleware import with_errors
from server.rpc.registration import register
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes
from server.services.entity_types import SERVICE as TYPES_SERVICE
from server.services.entity_types import EntityTypeServicer
from server.services.feature_store import SERVICE, FeatureStore
from server.services.reflection import SERVICES as REFLECTION_SERVICES
from server.services.reflection import Reflection
from server.settings import Settings

if TYPE_CHECKING:
    from server.process.tls import Tls

SERVICES: Final = (SERVICE, TYPES_SERVICE)

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    # From the first moment on: as process 1 of a container we get no signal that we do not handle.
    stop = _stop_signal()
    resources.allow_as_many_as_may_be()
    resources.keep_no_large_blocks()
    watch_the_rest(asyncio.get_running_loop())
    with tracing_of(settings) as tracing:
        async with _database(settings) as dsn:
            await serve_on(dsn, settings, stop, tracing)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the database that is given, or of one of our own."""
    if settings.dsn is not None:
        yield settings.dsn
        return
    postgres = EmbeddedPostgres(settings.data_dir / "postgres")
    log.info("PostgreSQL in %s: %s", settings.data_dir, await asyncio.to_thread(postgres.start))
    try:
        await migrate(postgres.dsn)
        supervisor = supervised("embedded PostgreSQL", lambda: keep_running(postgres))
        try:
            yield postgres.dsn
        finally:
            # However it ends: nobody starts again what is stopped now.
            await _cancel(supervisor)
    finally:
        await asyncio.to_thread(postgres.stop)


async def serve_on(
    dsn: str, settings: Settings, stop: asyncio.Event, tracing: Tracing | None = None
) -> None:
    """Serve what is in a database until `stop` is set, then drain."""
    password = password_from(settings.password_from)
    repository = PostgresRepository(dsn, _options(settings, password, tracing))
    probe = PostgresProbe(dsn, password, repository.primary)
    names = [service.full_name for service in SERVICES]
    health = Health(names, probe, settings.probe_interval)
    decode = _decoder(settings)
    access = access_of(settings, decode)
    tls = _tls(settings)
    reloads = Reloads([*access.files, *([tls.files] if tls else [])])
    guards = (*access.sources, *([tls] if tls else []), reloads)
    unsent = UnsentBytes(settings.max_unsent_bytes)
    metrics = metrics_of(
        settings, SERVICES, [repository, probe, health, unsent, LOST_LINES, *guards]
    )
    around = common_middleware(metrics, tracing)
    server = grpc.aio.server(options=store_options(settings))
    life = StreamLife(settings.max_connection_age)
    health_service = HealthService(health.statuses, Watches(), life)
    register(server, HEALTH_SERVICE, health_service, (with_errors,))
    middleware = (*around, *access.middleware)
    servicer = FeatureStore(
        repository, repository, DEFAULT_LIMITS, decode, life, unsent, access.message_middleware
    )
    register(server, SERVICE, servicer, middleware)
    types = EntityTypes(repository.entity_types, repository.compiler, DEFAULT_LIMITS)
    types_servicer = EntityTypeServicer(types, repository.entity_types, decode)
    register(server, TYPES_SERVICE, types_servicer, middleware)
    described = (*SERVICES, HEALTH_SERVICE, *REFLECTION_SERVICES)
    reflection = Reflection([service.full_name for service in described], life)
    # The contract is no secret, but only callers who are known need it; metrics do not count it.
    uncounted = common_middleware(None, tracing)
    for service in REFLECTION_SERVICES:
        register(server, service, reflection, (*uncounted, *access.callers))
    async with AsyncExitStack() as closing:
        closing.callback(access.close)
        port = listen(server, settings.listen, tls.credentials() if tls else None)
        # The health port is the last to close, so that probes see the whole drain.
        health_port = serving_health(
            health_service, settings.health_listen, health_options(settings)
        )
        await closing.enter_async_context(health_port)
        closing.push_async_callback(probe.close)
        await repository.open()
        closing.push_async_callback(repository.close)
        closing.enter_context(serving_metrics_on(metrics, settings.metrics_listen))
        await server.start()
        resources.settle()
        watched = [
            ("health", health.watch),
            ("freed memory", resources.give_back),
            *(("access", watch) for watch in access.watches),
            *([("certificates", tls.files.watch)] if tls else []),
            *([("event loop lag", metrics.event_loop.measure)] if metrics else []),
        ]
        watches = [supervised(name, watch) for name, watch in watched]
        host, _, _ = settings.listen.rpartition(":")
        log.info("%s, serving on %s:%d", summary(settings, probe.database), host, port)
        try:
            await stop.wait()
            log.info("draining")
            health.drain()
            await asyncio.sleep(settings.seconds_to_be_noticed)
        finally:
            life.drain()
            health.end_watches()
            await server.stop(settings.drain_grace)
            for watch in watches:
                await _cancel(watch)
    log.info("stopped")


def summary(settings: Settings, database: str) -> str:
    """What an operator wants to know of a server that begins, in a line; no secrets."""
    if settings.dsn is None:
        source = f"its own, in {settings.data_dir.resolve()}"
    else:
        source = f"from {settings.dsn_from}"
    parts = (
        f"featom {version('featom')} (build {BUILD})",
        f"database {database} ({source})",
        f"auth {','.join(sorted(settings.auth_modes)) or 'none'}",
        "TLS" if settings.tls_cert else "plaintext",
        f"{settings.lanes} lanes",
        f"{settings.readers} readers",
    )
    return ", ".join(parts)


def _decoder(settings: Settings) -> Decoder:
    looked_at_before = settings.auth_modes or settings.audit_log
    kind = RememberingDecoder if looked_at_before else Decoder
    return kind(settings.max_message_bytes)


def _tls(settings: Settings) -> "Tls | None":
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    # What is off is not imported: cryptography takes a quarter of a second.
    from server.process.tls import Tls

    return Tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def _options(
    settings: Settings, password: Password | None, tracing: Tracing | None
) -> PostgresOptions:
    return PostgresOptions(
        lanes=settings.lanes,
        readers=settings.readers,
        max_waiting=settings.max_waiting,
        statement_timeout=settings.statement_timeout,
        remember_requests=timedelta(hours=settings.request_id_hours),
        password=password,
        tracer=tracing.tracer if tracing else None,
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
