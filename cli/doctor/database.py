"""What only the database tells: its schema, encoding, partitions, size."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from cli.doctor.findings import Finding, ok, problem, warning
from repository import migrations
from repository.credentials import Password
from repository.inspection import Inspection, Partitions, inspect
from repository.migrations import DatabaseUnfit, MigrationFailed, Status
from server.process.logs import logging_to_stderr


def look_at_database(dsn: str, password: Password | None) -> Iterator[Finding]:
    """A finding for each thing; of a database that cannot be used only why."""
    try:
        with logging_to_stderr("critical"):
            status, found = asyncio.run(_look(dsn, password))
    except DatabaseUnfit as unfit:
        yield problem(
            "database", str(unfit), "No server can use it like that: docs/operations.md says more."
        )
        return
    except MigrationFailed as error:
        yield problem(
            "database",
            f"cannot be reached: {error}",
            "See that --dsn is the servers' own, and that PostgreSQL lets this machine in.",
        )
        return
    yield _described(found)
    yield from _schema(status)
    yield from _partitions(found.partitions, found.clock)


async def _look(dsn: str, password: Password | None) -> tuple[Status, Inspection]:
    return await migrations.status(dsn, password), await inspect(dsn, password)


def _described(found: Inspection) -> Finding:
    facts = found.facts
    said = (
        f"PostgreSQL {facts.version_text}, {facts.encoding}, a primary,"
        f" {found.bytes / 2**20:,.0f} MiB"
    )
    if facts.crash_unsafe:
        return warning(
            "database",
            f"{said}; off: {', '.join(facts.crash_unsafe)}",
            "Turn them on: a crash of that machine loses or damages what was acknowledged.",
        )
    skew = (found.clock - datetime.now(UTC)).total_seconds()
    return ok("database", f"{said}, its clock {skew:+.1f} s from the one here")


def _schema(status: Status) -> Iterator[Finding]:
    if status.misfit:
        yield problem("schema", status.misfit, "Run `featom migrate`, or the build that fits it.")
        return
    revision = ", ".join(sorted(status.revisions)) or "none"
    pending = [each.id for each in (*status.expand, *status.contract)]
    pending += [each.name for each in status.backfills if not each.complete]
    if pending:
        yield warning(
            "schema",
            f"revision {revision}; left to do: {', '.join(pending)}",
            "`featom migrate status` says what, and what each waits for.",
        )
    else:
        yield ok("schema", f"revision {revision}, as build {status.build} needs it")
    builds = ", ".join(map(str, sorted(set(status.connected))))
    count = len(status.connected)
    said = f"{count} connected, of build {builds}" if count else "none is connected"
    yield ok("servers", said)


def _partitions(found: tuple[Partitions, ...], clock: datetime) -> Iterator[Finding]:
    for each in found:
        check = f"partitions of {each.parent}"
        said = f"{each.partitions:,}, the newest from {each.newest}"
        if each.newest is None or each.newest <= clock.date():
            yield warning(
                check,
                f"{said}: none for what is to come",
                "A server makes them when it runs; its log says why if it cannot.",
            )
        elif each.default_bytes:
            yield warning(
                check,
                f"{said}; {each.default_bytes:,} bytes in the default one",
                "Rows came while there was no partition for them: no server had made it. They are"
                " moved when one does; see docs/operations.md on partitions.",
            )
        else:
            yield ok(check, said)
