"""A rule that mixes ints and doubles is blamed where it mixes them, with the way out."""

import pytest

from domain.entity_type import EntityType, Rule
from domain.feature_spec import FeatureSpec
from domain.values import ValueKind
from repository.rules.compiler import CelCompiler

KINDS = {
    "amount": ValueKind.INT64,
    "price": ValueKind.DOUBLE,
    "name": ValueKind.STRING,
    "tags": ValueKind.STRING_LIST,
}
TYPE = EntityType(
    name="card", features={name: FeatureSpec(kind=kind) for name, kind in KINDS.items()}
)
AROUND = "\n | "


def problem_of(expression: str) -> str | None:
    found = list(CelCompiler().rule_problems([Rule("r", expression, "no")], TYPE))
    return found[0][1] if found else None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("features.amount ", "/ 100 > 0.0"),
        ("features.price ", "/ 100 > 0.0"),
        ("features.price ", "/ 100 > 0"),
        ("(features.amount ", "+ 2 * 3) > 0.0"),
        ("0.0 < (features.amount / 2) ", "- 1"),
        ("has(features.price) && 0.0 < features.price ", "* 2 || features.amount > 3"),
        ("features.amount ", "+ 1.0 > 2.0"),
        ("-features.amount ", "* -1 == 0.5"),
        ("1 ", "/ 2.0 > 1.0"),
        ("features.tags.all(t, size(t) ", "/ 2 > 0.5)"),
        ('features["amount"] ', "/ 100 > 0.0 // as / a share"),
    ],
)
def test_the_caret_is_at_the_arithmetic_and_the_way_out_is_named(before: str, after: str) -> None:
    said = problem_of(before + after)
    assert said is not None
    assert f"line 1, column {len(before) + 1}: " in said
    assert "int and double do not mix here" in said
    assert "100.0" in said
    assert "double(…)" in said
    assert said.endswith(f"{AROUND}{before}{after}{AROUND}{'.' * len(before)}^")


def test_what_counts_as_an_int_is_shown_without_the_parentheses_around_it() -> None:
    said = problem_of("((features.amount + 2 * 3)) > 0.0")
    assert said is not None
    assert "`features.amount + 2 * 3` counts as an int" in said


def test_of_several_lines_the_right_one_is_shown() -> None:
    said = problem_of("features.amount >= 0 &&\n  features.amount / 100 - 1 >= 0.5")
    assert said is not None
    assert "line 2, column 25: " in said
    assert said.endswith(f"{AROUND}  features.amount / 100 - 1 >= 0.5{AROUND}{'.' * 24}^")


@pytest.mark.parametrize(
    "expression",
    ["features.name + 1 == 'x'", "features.name > 1", "features.amount == 'x' + 1"],
)
def test_what_mixes_other_kinds_is_told_in_the_compilers_words(expression: str) -> None:
    said = problem_of(expression)
    assert said is not None
    assert "do not mix" not in said
    assert "o matching overload" in said


@pytest.mark.parametrize(
    "expression",
    ["features.amount / 100 > 0", "double(features.amount) / 100.0 > 0.0", "features.amount > 0.5"],
)
def test_the_ways_out_are_taken(expression: str) -> None:
    assert problem_of(expression) is None
