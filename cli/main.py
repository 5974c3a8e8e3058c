"""The `featom` command."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import typer
import uvloop

from cli import entity_types, migrate, retention, smoke
from cli.exits import failed
from cli.setting_options import with_settings
from repository.credentials import PasswordSourceUnknown
from repository.dsn.target import DsnRefused
from server.embedded_postgres import EmbeddedPostgresFailed
from server.main import serve as serve_until_stopped
from server.process.logs import log_of_server
from server.settings import Settings, SettingsRefused

app = typer.Typer(
    help="Featom, a transactional feature store.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

log = logging.getLogger("featom")

REFUSALS: Final = (SettingsRefused, EmbeddedPostgresFailed, PasswordSourceUnknown, DsnRefused)


@app.command()
@with_settings
def serve(given: Mapping[str, Any]) -> None:
    """Serve the feature store over gRPC.

    Without a DSN it runs a PostgreSQL of its own and migrates it. With one it never migrates:
    `featom migrate` does.
    """
    try:
        settings = Settings(**given)
    except SettingsRefused as error:
        raise failed(error) from error
    refusal: Exception | None = None
    with log_of_server(settings.log_level, settings.log_format):
        try:
            uvloop.run(serve_until_stopped(settings))
        except REFUSALS as error:
            refusal = error
            if settings.logs_json:
                log.critical("%s", error)
        except Exception:
            log.critical("the server cannot go on", exc_info=True)
            raise typer.Exit(1) from None
    if refusal is not None:
        raise typer.Exit(1) if settings.logs_json else failed(refusal)


app.add_typer(migrate.app, name="migrate")
app.command()(migrate.backfill)
app.command()(retention.retention)
app.command()(entity_types.apply)
app.command()(entity_types.diff)
app.command()(entity_types.get_type)
app.command()(entity_types.check)
app.command()(smoke.smoke)
