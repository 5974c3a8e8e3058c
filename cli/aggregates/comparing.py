"""Two versions of one aggregate, feature by feature: a part of `featom diff`."""

from collections.abc import Iterator
from typing import Final

import typer
from featom_client import Aggregate

from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.output.rows import Output, Row, write_rows
from cli.output.values import kind_of, printable, time_text

_COLUMNS: Final = ("feature", "change", "before", "after", "event_time")
_STYLES: Final = {"added": "green", "removed": "red", "changed": "yellow"}


def compare_versions(
    endpoint: Endpoint,
    entity_type: str,
    entity_id: str,
    versions: tuple[int, int | None],
    output: Output,
) -> bool:
    """Write what one version has and another has not; None is the current one.

    Returns whether they differ.
    """
    first, second = versions
    with calling(endpoint) as client:
        before = client.get(entity_type, entity_id, as_of_version=first)
        after = client.get(entity_type, entity_id, as_of_version=second)
    rows = list(differences(before, after))
    if output is Output.TABLE:
        key = f"{entity_type}/{printable(entity_id)}"
        typer.echo(f"{key}: version {_described(before)} and version {_described(after)}")
        if not rows:
            typer.echo("no difference")
            return False
        typer.echo()
    write_rows(rows, _COLUMNS, output, lambda row: _STYLES[row["change"]])
    return bool(rows)


def differences(before: Aggregate, after: Aggregate) -> Iterator[Row]:
    """A row for each feature whose value, kind or event time differs."""
    for name in sorted({*before, *after}):
        if name not in after:
            yield {"feature": name, "change": "removed", "before": before[name]}
        elif name not in before or _differ(before, after, name):
            change = "changed" if name in before else "added"
            yield {
                "feature": name,
                "change": change,
                "before": before.get(name),
                "after": after[name],
                "event_time": after.event_time(name),
            }


def _differ(before: Aggregate, after: Aggregate, name: str) -> bool:
    # Not by the values alone: 1 equals True and 1.0, and NaN is not even itself.
    one, other = before[name], after[name]
    same = kind_of(one) == kind_of(other) and repr(one) == repr(other)
    return not same or before.event_time(name) != after.event_time(name)


def _described(found: Aggregate) -> str:
    return f"{found.version} of {time_text(found.update_time)}"
