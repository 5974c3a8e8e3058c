"""`featom migrate up|status|sql` and `featom backfill`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperGroup

from cli.database_options import Dsn, PasswordFrom
from cli.exits import failed
from repository import migrations
from repository.credentials import PasswordSourceUnknown, password_from
from repository.migrations import (
    BackfillHeldUp,
    DatabaseUnfit,
    MigrationFailed,
    Patience,
    Progress,
    Throttle,
)
from server.process.logs import logging_to_stderr

Result = TypeVar("Result")

PENDING: Final = 3
UNFIT: Final = 4

EXIT_CODES: Final = """Exit code: 0 if nothing is left to do, 1 if it failed, 3 if something is left
to do, 4 if this build cannot serve the database."""
UP_EXAMPLES: Final = """\b
Examples:
  featom migrate --dsn postgresql://featom@db.example.org/featom
  featom migrate up --app-role featom_server
  featom migrate up --contract        later, when no older build serves any more"""
STATUS_EXAMPLES: Final = """\b
Examples:
  featom migrate status --dsn postgresql://featom@db.example.org/featom"""
SQL_EXAMPLES: Final = """\b
Examples:
  featom migrate sql > featom.sql     all of it, for a new database
  featom migrate sql --dsn postgresql://featom@db.example.org/featom"""
EXAMPLES: Final = {
    "backfill": """\b
Examples:
  featom backfill --dsn postgresql://featom@db.example.org/featom
  featom backfill --rows-a-second 5000"""
}

AppRole = Annotated[
    str | None,
    typer.Option(
        envvar="FEATOM_APP_ROLE",
        show_default=False,
        help="The role of the servers, if it is not the owner: left with what they need, no more.",
    ),
]
Contract = Annotated[
    bool,
    typer.Option(
        "--contract",
        help="Also take away what no build needs any more, as far as servers and backfills allow.",
    ),
]
LockTimeout = Annotated[
    float,
    typer.Option(
        envvar="FEATOM_MIGRATION_LOCK_TIMEOUT",
        help="Seconds to wait for a lock, while others wait behind; then it is tried again.",
    ),
]
ConnectSeconds = Annotated[
    float,
    typer.Option(
        envvar="FEATOM_MIGRATION_CONNECT_SECONDS",
        min=0,
        help="How long a database is waited for that has no address yet, or does not answer.",
    ),
]
StatementTimeout = Annotated[
    float,
    typer.Option(
        envvar="FEATOM_MIGRATION_STATEMENT_TIMEOUT",
        help="Seconds for one SQL statement; an index beside writers has no limit.",
    ),
]

DEFAULTS: Final = Patience()
CONNECT_SECONDS: Final = 60.0
THROTTLE: Final = Throttle()


class UpUnlessNamed(TyperGroup):
    """`featom migrate` alone is `featom migrate up`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["up", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=UpUnlessNamed,
    help="Migrate a database. Without a command: up.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command(epilog=f"{EXIT_CODES}\n\n{UP_EXAMPLES}")
def up(
    dsn: Dsn = None,
    password_from: PasswordFrom = None,
    app_role: AppRole = None,
    contract: Contract = False,
    lock_timeout: LockTimeout = DEFAULTS.lock_timeout,
    statement_timeout: StatementTimeout = DEFAULTS.statement_timeout,
    retry_seconds: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_MIGRATION_RETRY_SECONDS",
            help="How long a migration that does not get its locks is tried again.",
        ),
    ] = DEFAULTS.in_all,
    connect_seconds: ConnectSeconds = CONNECT_SECONDS,
) -> None:
    """Bring the schema of a database to what this build needs, while the build before serves."""
    patience = Patience(
        lock_timeout=lock_timeout,
        statement_timeout=statement_timeout,
        in_all=retry_seconds,
        to_connect=connect_seconds,
    )
    done = run_on_database(
        migrations.up(
            *database_of(dsn, password_from),
            contract=contract,
            app_role=app_role,
            patience=patience,
        ),
        "the database was not migrated",
    )
    applied, held_up = done.applied, done.held_up
    typer.echo(f"applied: {', '.join(applied)}" if applied else "nothing to do")
    for reason in held_up:
        typer.echo(f"featom: {reason}", err=True)
    raise typer.Exit(PENDING if held_up else 0)


@app.command(epilog=f"{EXIT_CODES}\n\n{STATUS_EXAMPLES}")
def status(dsn: Dsn = None, password_from: PasswordFrom = None) -> None:
    """Say what a database is at, what is pending, and whether this build can serve it."""
    found = run_on_database(
        migrations.status(*database_of(dsn, password_from)), "cannot tell", typer.echo
    )
    typer.echo(f"database  {', '.join(sorted(found.revisions)) or 'no schema'}")
    for name, pending in (("expand", found.expand), ("contract", found.contract)):
        for revision in pending:
            typer.echo(f"{name:<8}  {revision.id} pending: {revision.title}")
        if not pending:
            typer.echo(f"{name:<8}  nothing pending")
    for reason in found.obstacles:
        typer.echo(f"waits     {reason}")
    for progress in found.backfills:
        typer.echo(f"backfill  {_words(progress)}")
    typer.echo(f"servers   {_servers(found.connected)}")
    verdict = f"cannot serve it: {found.misfit}" if found.misfit else "can serve it"
    typer.echo(f"build {found.build}   {verdict}")
    raise typer.Exit(UNFIT if found.misfit else PENDING if found.is_pending else 0)


@app.command(epilog=SQL_EXAMPLES)
def sql(
    dsn: Dsn = None,
    password_from: PasswordFrom = None,
    app_role: AppRole = None,
    contract: Contract = False,
    lock_timeout: LockTimeout = DEFAULTS.lock_timeout,
    statement_timeout: StatementTimeout = DEFAULTS.statement_timeout,
) -> None:
    """Print the SQL that `up` would run on a database; without a DSN, on a new one."""
    found: frozenset[str] = frozenset()
    if dsn is not None:
        found = run_on_database(
            migrations.status(*database_of(dsn, password_from)), "cannot tell"
        ).revisions
    patience = Patience(lock_timeout=lock_timeout, statement_timeout=statement_timeout)
    printed = migrations.sql_from(found, contract=contract, app_role=app_role, patience=patience)
    typer.echo(printed, nl=False)


def backfill(
    dsn: Dsn = None,
    password_from: PasswordFrom = None,
    page_rows: Annotated[
        int,
        typer.Option(
            envvar="FEATOM_BACKFILL_PAGE_ROWS",
            min=1,
            help="Rows in a transaction; writers of these rows wait for so long.",
        ),
    ] = THROTTLE.page_rows,
    rows_a_second: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_BACKFILL_ROWS_A_SECOND", min=0, help="At most; 0: as fast as it goes."
        ),
    ] = THROTTLE.rows_a_second,
    connect_seconds: ConnectSeconds = CONNECT_SECONDS,
) -> None:
    """Fill what migrations have added, while servers work. It begins where it was left."""
    throttle = Throttle(page_rows=page_rows, rows_a_second=rows_a_second)
    work = migrations.backfill(
        *database_of(dsn, password_from),
        throttle,
        _report,
        Patience(to_connect=connect_seconds),
    )
    try:
        run_on_database(work, "the backfill did not end")
    except BackfillHeldUp as reason:
        raise failed(reason, PENDING) from reason
    typer.echo("nothing left to do")


def _report(progress: Progress) -> None:
    typer.echo(_words(progress))


def _words(progress: Progress) -> str:
    name, seen, written, rows, complete = progress
    if complete:
        return f"{name} complete: {seen} rows seen, {written} written"
    share = f"{min(99, 100 * seen // rows)} % of about {rows} rows" if rows > 0 else "rows"
    return f"{name} {share}: {seen} seen, {written} written"


def _servers(connected: list[int]) -> str:
    builds = sorted(set(connected))
    counts = (f"{connected.count(build)} of build {build}" for build in builds)
    return ", ".join(counts) or "none connected"


def database_of(dsn: str | None, source: str | None) -> tuple[str, Any]:
    """The DSN, and what gives the password."""
    if dsn is None:
        raise failed("a DSN is needed: --dsn or FEATOM_DSN")
    try:
        return dsn, password_from(source)
    except PasswordSourceUnknown as error:
        raise failed(error) from error


def run_on_database(
    work: Coroutine[Any, Any, Result],
    failure: str,
    tell_unfit: Callable[[str], None] = lambda _: None,
) -> Result:
    """What the work returns; ends the command if that fails. `tell_unfit` hears of a database that
    nobody can serve."""
    try:
        with logging_to_stderr("warning"):
            return asyncio.run(work)
    except DatabaseUnfit as unfit:
        tell_unfit(f"cannot be served: {unfit}")
        raise failed(f"{failure}: {unfit}", UNFIT) from unfit
    except MigrationFailed as error:
        raise failed(f"{failure}: {error}") from error
