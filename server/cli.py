"""The `featom` command."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from repository.connecting.target import DsnRefused
from repository.credentials.password import PasswordSourceUnknown
from server import migration_commands, retention_command, security_options, type_commands
from server.database_options import Dsn, PasswordFrom
from server.embedded_postgres import EmbeddedPostgresFailed
from server.exits import failed
from server.logs import logging_to_stderr
from server.main import serve as serve_until_stopped
from server.settings import Settings, SettingsRefused

app = typer.Typer(
    help="Featom, a transactional feature store.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DEFAULTS = Settings()
REFUSALS = (SettingsRefused, EmbeddedPostgresFailed, PasswordSourceUnknown, DsnRefused)


@app.command()
def serve(
    listen: Annotated[
        str, typer.Option(envvar="FEATOM_LISTEN", help="HOST:PORT to serve gRPC on.")
    ] = DEFAULTS.listen,
    health_listen: Annotated[
        str | None,
        typer.Option(
            envvar="FEATOM_HEALTH_LISTEN",
            show_default=False,
            help="HOST:PORT to serve health on as well, alone and in plaintext, for probes.",
        ),
    ] = DEFAULTS.health_listen,
    metrics_listen: Annotated[
        str | None,
        typer.Option(
            envvar="FEATOM_METRICS_LISTEN",
            show_default=False,
            help="HOST:PORT to serve metrics for Prometheus on, in plaintext; unset: none.",
        ),
    ] = DEFAULTS.metrics_listen,
    dsn: Dsn = None,
    password_from: PasswordFrom = None,
    data_dir: Annotated[
        Path,
        typer.Option(
            envvar="FEATOM_DATA_DIR",
            help="Without a DSN: where to keep a PostgreSQL of its own.",
        ),
    ] = DEFAULTS.data_dir,
    allow_insecure: Annotated[
        bool,
        typer.Option(
            envvar="FEATOM_ALLOW_INSECURE",
            help="Listen beyond loopback without encryption, or without knowing the callers.",
        ),
    ] = DEFAULTS.allow_insecure,
    log_level: Annotated[
        str,
        typer.Option(
            envvar="FEATOM_LOG_LEVEL",
            help="debug (logs each call), info (logs each call that fails), warning or error.",
        ),
    ] = DEFAULTS.log_level,
    log_format: Annotated[
        str, typer.Option(envvar="FEATOM_LOG_FORMAT", help="text, or json: an object a line.")
    ] = DEFAULTS.log_format,
    tracing: Annotated[
        bool,
        typer.Option(
            envvar="FEATOM_TRACING",
            help="Send traces of OpenTelemetry, as its OTEL_* variables say;"
            " needs the extra tracing of featom.",
        ),
    ] = DEFAULTS.tracing,
    lanes: Annotated[
        int, typer.Option(envvar="FEATOM_LANES", help="Transactions that write at a time.")
    ] = DEFAULTS.lanes,
    readers: Annotated[
        int, typer.Option(envvar="FEATOM_READERS", help="Queries that read at a time.")
    ] = DEFAULTS.readers,
    max_waiting: Annotated[
        int,
        typer.Option(
            envvar="FEATOM_MAX_WAITING",
            help="Updates, and reads, that may wait before callers get UNAVAILABLE.",
        ),
    ] = DEFAULTS.max_waiting,
    max_message_bytes: Annotated[
        int, typer.Option(envvar="FEATOM_MAX_MESSAGE_BYTES", help="The largest request.")
    ] = DEFAULTS.max_message_bytes,
    statement_timeout: Annotated[
        float,
        typer.Option(envvar="FEATOM_STATEMENT_TIMEOUT", help="Seconds for one SQL statement."),
    ] = DEFAULTS.statement_timeout,
    request_id_hours: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_REQUEST_ID_HOURS",
            help="How long request ids are known, at least: see `featom retention`.",
        ),
    ] = DEFAULTS.request_id_hours,
    probe_interval: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_PROBE_INTERVAL", help="Seconds between looks at the database's health."
        ),
    ] = DEFAULTS.probe_interval,
    drain_delay: Annotated[
        float | None,
        typer.Option(
            envvar="FEATOM_DRAIN_DELAY",
            show_default=False,
            help="Seconds between NOT_SERVING and the end, for load balancers and clients to see"
            " it; unset: 3 beyond loopback, 0 on it.",
        ),
    ] = DEFAULTS.drain_delay,
    drain_grace: Annotated[
        float, typer.Option(envvar="FEATOM_DRAIN_GRACE", help="Seconds for calls to finish.")
    ] = DEFAULTS.drain_grace,
    max_connection_age: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_MAX_CONNECTION_AGE", help="Seconds after which clients must reconnect."
        ),
    ] = DEFAULTS.max_connection_age,
    tls_cert: security_options.TlsCert = DEFAULTS.tls_cert,
    tls_key: security_options.TlsKey = DEFAULTS.tls_key,
    tls_client_ca: security_options.TlsClientCa = DEFAULTS.tls_client_ca,
    auth: security_options.Auth = DEFAULTS.auth,
    jwt_issuer: security_options.JwtIssuer = DEFAULTS.jwt_issuer,
    jwt_audience: security_options.JwtAudience = DEFAULTS.jwt_audience,
    jwt_jwks: security_options.JwtJwks = DEFAULTS.jwt_jwks,
    jwt_ca: security_options.JwtCa = DEFAULTS.jwt_ca,
    authorization: security_options.AuthorizationFile = DEFAULTS.authorization,
    audit_log: security_options.AuditLogTarget = DEFAULTS.audit_log,
    max_waiting_bytes: security_options.MaxWaitingBytes = DEFAULTS.max_waiting_bytes,
    max_unsent_bytes: security_options.MaxUnsentBytes = DEFAULTS.max_unsent_bytes,
    max_streams: security_options.MaxStreams = DEFAULTS.max_streams,
    handshake_timeout: security_options.HandshakeTimeout = DEFAULTS.handshake_timeout,
    rate_per_principal: security_options.RatePerPrincipal = DEFAULTS.rate_per_principal,
) -> None:
    """Serve the feature store over gRPC.

    Without a DSN it runs a PostgreSQL of its own and migrates it. With one it never migrates:
    `featom migrate` does.
    """
    try:
        settings = Settings(**locals())
        with logging_to_stderr(settings.log_level, settings.log_format):
            uvloop.run(serve_until_stopped(settings))
    except REFUSALS as error:
        raise failed(error) from error


app.add_typer(migration_commands.app, name="migrate")
app.command()(migration_commands.backfill)
app.command()(retention_command.retention)
app.command()(type_commands.apply)
app.command()(type_commands.diff)
app.command()(type_commands.get_type)
app.command()(type_commands.check)
