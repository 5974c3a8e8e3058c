"""`featom serve`."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import typer
import uvloop

from cli.exits import failed
from cli.setting_options import with_settings
from repository.credentials import PasswordSourceUnknown
from repository.dsn.target import DsnRefused
from server.embedded_postgres import EmbeddedPostgresFailed
from server.main import serve as serve_until_stopped
from server.process.logs import log_of_server
from server.settings import Settings, SettingsRefused

EXAMPLES: Final = {
    "serve": """\b
Examples:
  featom serve
  featom serve --dsn postgresql://featom_server@db.example.org/featom --log-format json
  featom serve --metrics-listen 127.0.0.1:9464 --lanes 4"""
}

log = logging.getLogger("featom")

REFUSALS: Final = (SettingsRefused, EmbeddedPostgresFailed, PasswordSourceUnknown, DsnRefused)


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
