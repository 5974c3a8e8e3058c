"""A check says each thing that is broken once, with how often, and where to look."""

from cli.findings import Findings
from featom.v1 import entity_type_service_pb2 as pb


def aggregate(entity_id: str, *broken: tuple[str, str, str]) -> pb.AggregateViolations:
    found = pb.AggregateViolations(entity_id=entity_id)
    for sort, subject, description in broken:
        found.violations.add(type=sort, subject=subject, description=description)
    return found


def test_what_is_broken_most_often_comes_first_with_a_few_examples() -> None:
    findings = Findings()
    findings.add(aggregate("a", ("RULE", "order", "low is above high")))
    for number in range(2_000):
        findings.add(
            aggregate(f"c{number}", ("RANGE", "amount", f"must be at most 1, is {number}"))
        )
    assert list(findings.lines()) == [
        "RANGE amount: 2,000 aggregates: c0, c1, c2, c3, c4, …",
        "    c0: must be at most 1, is 0",
        "RULE order: 1 aggregate: a",
        "    a: low is above high",
    ]


def test_of_many_sorts_the_first_are_shown_and_the_others_counted() -> None:
    findings = Findings()
    for number in range(12_000):
        findings.add(aggregate("a", ("ADDITIONAL_FEATURE", f"f{number}", "is no feature")))
    *shown, last = findings.lines()
    assert len(shown) == 40
    assert last == "… and 11,980 findings of other sorts"


def test_where_nothing_is_broken_nothing_is_said() -> None:
    assert list(Findings().lines()) == []
