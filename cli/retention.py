"""`featom retention`."""

from datetime import timedelta
from typing import Annotated, Final

import typer

from cli.database_options import Dsn, PasswordFrom
from cli.migrate import database_of, run_on_database
from repository.retention import read_retention, set_retention

LONGEST_HOURS = 87_600
LONGEST_DAYS = 365_000

EXAMPLES: Final = {
    "retention": """\b
Examples:
  featom retention --dsn postgresql://featom@db.example.org/featom
  featom retention --request-id-hours 48 --change-days 90"""
}


def retention(
    dsn: Dsn = None,
    password_from: PasswordFrom = None,
    # Not from the variable, which says what a server promises.
    request_id_hours: Annotated[
        float | None,
        typer.Option(
            show_default=False,
            min=0.001,
            max=LONGEST_HOURS,
            help="Keep request ids for so long; a server that promises more raises it again.",
        ),
    ] = None,
    change_days: Annotated[
        float | None,
        typer.Option(
            show_default=False,
            min=0,
            max=LONGEST_DAYS,
            help="Keep changes, the history, for so long; 0: without limit.",
        ),
    ] = None,
) -> None:
    """Say how long a store keeps request ids and changes. With an option it is set, as the schema's
    owner."""
    where = database_of(dsn, password_from)
    if request_id_hours is None and change_days is None:
        found = run_on_database(read_retention(*where), "cannot tell")
    else:
        requests = None if request_id_hours is None else timedelta(hours=request_id_hours)
        changes = None if change_days is None else timedelta(days=change_days)
        found = run_on_database(
            set_retention(*where, requests=requests, changes=changes), "nothing was set"
        )
    typer.echo(f"request ids  {found.requests / timedelta(hours=1):g} hours")
    days = None if found.changes is None else f"{found.changes / timedelta(days=1):g} days"
    typer.echo(f"changes      {days or 'without limit'}")
