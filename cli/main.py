"""The `featom` command."""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
import uvloop

from cli import entity_types, migrate, retention, smoke
from cli.exits import failed
from cli.setting_options import with_settings
from repository.credentials import PasswordSourceUnknown
from repository.dsn.target import DsnRefused
from repository.migrations.window import BUILD
from server.embedded_postgres import EmbeddedPostgresFailed
from server.main import serve as serve_until_stopped
from server.process.logs import log_of_server
from server.settings import Settings, SettingsRefused

HELP: Final = """Featom, a transactional feature store.

`featom COMMAND -h` tells of a command, with examples. Options are also read from the variables
that stand beside them."""

FIRST_STEPS: Final = """\b
First steps:
  featom serve                     with a PostgreSQL of its own, in ./data
  featom apply -f types/card.yaml  in another terminal: an entity type
\b
With a PostgreSQL of yours:
  export FEATOM_DSN=postgresql://featom@db.example.org/featom
  featom migrate
  featom serve"""

app = typer.Typer(
    help=HELP,
    epilog=FIRST_STEPS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"featom {version('featom')} (build {BUILD})")
        raise typer.Exit


@app.callback()
def featom(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_say_version,
            is_eager=True,
            help="Say which version this is, and which build of the schema it needs.",
        ),
    ] = False,
) -> None:
    pass


@app.command("help", hidden=True)
def help_(command: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """`featom help apply` is `featom apply --help`."""
    app([*(command or ()), "--help"], prog_name="featom")


log = logging.getLogger("featom")

REFUSALS: Final = (SettingsRefused, EmbeddedPostgresFailed, PasswordSourceUnknown, DsnRefused)


@app.command(
    epilog="""\b
Examples:
  featom serve
  featom serve --dsn postgresql://featom_server@db.example.org/featom --log-format json
  featom serve --metrics-listen 127.0.0.1:9464 --lanes 4"""
)
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
app.command(epilog=migrate.BACKFILL_EXAMPLES)(migrate.backfill)
app.command(epilog=retention.EXAMPLES)(retention.retention)
for command in (
    entity_types.apply,
    entity_types.diff,
    entity_types.get_type,
    entity_types.check,
):
    app.command(epilog=entity_types.EXAMPLES[command.__name__])(command)
app.command(epilog=smoke.EXAMPLES)(smoke.smoke)
