"""`featom doctor`."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import typer
from featom_client import Client

from cli import exits
from cli.connection.calling import client_options
from cli.connection.endpoint import Endpoint, EndpointRefused
from cli.connection.options import with_endpoint
from cli.doctor.connection import look_at_connection
from cli.doctor.findings import Finding, Verdict
from cli.output.rows import JsonOption, Output, OutputOption, chosen, write_json, write_rows
from cli.output.values import coloured, printable

EXAMPLES: Final = {
    "doctor": """\b
Examples:
  featom doctor
  featom doctor --target featom.example.org:50051 --tls-ca ca.crt --token-file token
  featom doctor --dsn postgresql://featom_server@db.example.org/featom
  featom doctor --json | jq 'select(.verdict != "ok")'"""
}

_COLUMNS: Final = ("check", "verdict", "said", "next")
_COLOURS: Final = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "red",
    Verdict.UNKNOWN: "cyan",
}
_TIMEOUT: Final = 10.0


def _doctor(
    endpoint: Endpoint,
    dsn: Annotated[
        str | None,
        typer.Option(
            envvar="FEATOM_DSN",
            show_default=False,
            help="Also look at the database, with the DSN that servers have.",
        ),
    ] = None,
    password_from: Annotated[
        str | None,
        typer.Option(
            envvar="FEATOM_PASSWORD_FROM",
            show_default=False,
            help="Where its password comes from, as of `featom serve`.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Find out what is wrong with a server or the way to it.

    Address, connection, TLS, token, health, a read, entity types, and a write that is checked but
    not made. With --dsn also the database: schema, partitions, encoding, size. The exit code is 1
    if there is a problem.
    """
    found: list[Finding] = []
    try:
        _write(_noted(_look(endpoint, dsn, password_from), found), chosen(output, json))
    except EndpointRefused as error:
        raise exits.failed(error, exits.USAGE) from error
    if any(each.verdict is Verdict.PROBLEM for each in found):
        raise typer.Exit(exits.FOUND)


doctor = with_endpoint(_doctor, _TIMEOUT)


def _look(endpoint: Endpoint, dsn: str | None, password_source: str | None) -> Iterator[Finding]:
    options = client_options(endpoint)
    way = []
    for finding in look_at_connection(endpoint):
        way.append(finding)
        yield finding
    if all(each.verdict is not Verdict.PROBLEM or each.check == "token" for each in way):
        yield from _look_at_server(endpoint, options)
    if dsn is not None:
        # It knows the storage, which the others need not load.
        from cli.doctor.database import look_at_database
        from repository.credentials import PasswordSourceUnknown, password_from

        try:
            password = password_from(password_source)
        except PasswordSourceUnknown as error:
            raise exits.failed(error, exits.USAGE) from error
        yield from look_at_database(dsn, password)


def _look_at_server(endpoint: Endpoint, options: dict[str, Any]) -> Iterator[Finding]:
    from cli.doctor.server import look_at_calls, look_at_health

    yield from look_at_health(endpoint)
    with Client(**options) as client:
        yield from look_at_calls(client, endpoint)


def _noted(findings: Iterable[Finding], into: list[Finding]) -> Iterator[Finding]:
    for each in findings:
        into.append(each)
        yield each


def _write(findings: Iterable[Finding], output: Output) -> None:
    if output is Output.CSV:
        write_rows(map(_row, findings), _COLUMNS, output)
        return
    for each in findings:  # as they come: some take seconds
        if output is Output.JSON:
            write_json(_row(each))
            continue
        verdict = coloured(f"{each.verdict:<8}", _COLOURS[each.verdict])
        typer.echo(f"{verdict}  {each.check}: {printable(each.said)}")
        if each.next:
            typer.echo(f"          {printable(each.next)}")


def _row(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "said": finding.said,
        "next": finding.next,
    }
