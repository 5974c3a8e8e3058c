"""What was promised of the order of updates."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence


def real_time_order_holds(evidence: Evidence) -> Iterator[str]:
    """What was acknowledged before another was sent comes before it."""
    for line in evidence.lines.values():
        latest, latest_name = 0, ""
        for maker, acknowledged in zip(line.makers, line.acknowledged, strict=True):
            if maker is None:
                continue
            name = maker.request.operation
            if latest > acknowledged:
                yield f"{latest_name} comes before {name} on {line.key}, and was sent after its end"
            if maker.invoked > latest:
                latest, latest_name = maker.invoked, name
