"""What rules and patterns may cost: what would take long is refused at once."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from domain.entity_type import EntityType, Rule
from domain.feature_spec import FeatureSpec
from domain.values import ValueKind
from repository.rules.compiled import CelRules
from repository.rules.compiler import CelPattern
from tests.kit.effort import at_once
from tests.unit.rules.transitions import CLOSED, COMPILER, broken, problem, transition


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        (
            "features.l.all(x, features.s.size() > x)",
            {"l": tuple(range(9_000)), "s": "a" * 900_000},
        ),
        (
            "features.l.all(x, (features.s + features.s) != 'a')",
            {"l": (1,) * 9_000, "s": "a" * 9_000},
        ),
        ("features.l.all(x, features.s.matches('(a+)+b'))", {"l": (1,) * 5_000, "s": "a" * 99_999}),
        ("features.l.all(x, x >= 0)", {"l": tuple(range(100_000))}),
        ("features.s.matches('(x+x+)+y')", {"s": "x" * 900_000}),
        (f"size({' + '.join(['features.s'] * 28)}) < 0", {"s": "a" * 900_000}),
        (f"size({' + '.join(['features.l'] * 28)}) < 0", {"l": tuple(range(80_000))}),
        (
            " && ".join(["!features.s.contains(features.s2)"] * 20),
            {"s": "a" * 450_000, "s2": "a" * 225_000 + "b"},
        ),
        (r"features.l.all(x, features.s.matches(r'\pL+'))", {"l": (1,) * 5_000, "s": "abc"}),
        (
            "features.l.all(x, !features.s.contains(features.s2))",
            {"l": (1,) * 200, "s": "a" * 10_000, "s2": "a" * 4_000 + "b"},
        ),
    ],
)
def test_values_cannot_make_a_rule_slow(expression: str, values: Mapping[str, Any]) -> None:
    with at_once():
        assert broken(expression, {}, values) == ["r0"]


def test_a_macro_over_a_list_of_common_size_is_evaluated() -> None:
    words = "features.l.all(x, string(x).matches('^[0-9]{1,4}$'))"
    assert broken(words, {}, {"l": tuple(range(2_000))}) == []
    assert broken("features.l.all(x, x >= features.a)", {"a": 0}, {"l": tuple(range(2_000))}) == []


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*", "(a|aa)+$", "(.*a){20}", "([a-z]+)*!"])
def test_a_pattern_takes_linear_time(pattern: str) -> None:
    assert COMPILER.pattern_problem(pattern) is None
    compiled = COMPILER.compile_pattern(pattern)
    with at_once():
        assert not compiled.matches("a" * 100_000 + "!b")


@pytest.mark.parametrize(
    "pattern",
    [
        r"\p{L}{1,64}",
        r"\PL{100}",
        r"[^\pL]{100}",
        r"(?i)\pN{50}",
        r"(\pL{2}){9}",
        r"\pL" * 9,
        "(?i)[^a-z]{900}",
        "(" * 400 + r"\pL{300}" + ")" * 400,
    ],
)
def test_a_pattern_that_takes_long_to_compile_is_refused_at_once(pattern: str) -> None:
    with at_once():
        assert "takes too long" in (COMPILER.pattern_problem(pattern) or "")
        assert "takes too long" in problem(f"features.s.matches(r'{pattern}')")


@pytest.mark.parametrize(
    "pattern",
    [
        "[A-Z]{3}",
        r"\p{L}+( \p{L}+)*",
        r"[^@]{1,64}@[a-z.-]{1,200}",
        r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z",
        "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        r"\Q{999}{999}\E",
        "a{1000}",
        ".{900}",
    ],
)
def test_an_ordinary_pattern_takes_milliseconds_at_most(pattern: str) -> None:
    assert COMPILER.pattern_problem(pattern) is None
    compiled = COMPILER.compile_pattern(pattern)
    with at_once(5.0):
        for number in range(20):
            compiled.matches(f"{number}")


def test_the_regular_expressions_of_all_rules_are_bounded_together() -> None:
    rules = [Rule(f"r{n}", r"features.s.matches('\\pL+\\pL+\\pL+')", "no") for n in range(9)]
    assert [number for number, _ in COMPILER.rule_problems(rules, CLOSED)] == [4]


def test_a_pattern_that_cannot_be_asked_matches_nothing() -> None:
    # The runtime answers with an error's text, which counts as true in Python.
    assert CelPattern(COMPILER._match("(")).matches("x") is False


SLOW = [
    "features.l.all(x, features.s.size() > x)",
    "features.l.all(x, x in features.l)",
    "features.l.all(x, [features.l, features.l, features.l] != [])",
    "!features.s.contains(features.s2)",
    "features.s + features.s != ''",
    "features.s.matches('(x+x+)+y') || true",
    "[" + ",".join(["size(features.s)"] * 40) + "] != []",
    "features.l != [] && " + " && ".join(["features.l == features.l"] * 30),
]


@pytest.mark.parametrize("expression", SLOW)
@pytest.mark.parametrize(
    "values",
    [
        {"l": tuple(range(900)), "s": "a" * 3_000, "s2": "a" * 1_000 + "b"},
        {"l": tuple(range(9_000)), "s": "a" * 60_000, "s2": "a" * 1_000 + "b"},
        {"l": tuple(range(50_000)), "s": "a" * 400_000, "s2": "b"},
    ],
    ids=["small", "larger", "largest"],
)
def test_a_hundred_rules_do_not_take_a_hundred_times_as_long_as_one_may(
    expression: str, values: Mapping[str, Any]
) -> None:
    rules = [f"{expression} || {number} < 0" for number in range(100)]
    compiled = COMPILER.compile_rules(
        [Rule(f"r{n}", text, "no") for n, text in enumerate(rules)], ()
    )
    compiled.broken(transition({}, {"l": (), "s": "", "s2": ""}), recheck=True)
    with at_once(2.5):
        compiled.broken(transition({}, values), recheck=True)


def test_the_rules_that_have_no_room_beside_the_others_are_named_with_their_cost() -> None:
    rule = "features.l.all(x, x in features.l || x < 0)"
    rules = [Rule(f"r{number}", f"{rule} || {number} < 0", "no") for number in range(50)]
    compiled = COMPILER.compile_rules(rules, ())
    found = compiled.broken(transition({}, {"l": tuple(range(400))}), recheck=True)
    names = [each.subject for each in found]
    assert names
    assert names == [f"r{number}" for number in range(50 - len(names), 50)], "the last ones"
    assert len(names) < 50
    said = found[-1].description
    assert said.startswith("no (for values of this size it would take ")
    assert said.endswith(" ms: more than 50 ms an update)")
    assert compiled.broken(transition({}, {"l": tuple(range(40))}), recheck=True) == []


def test_rules_that_vectors_of_the_declared_dimension_make_slow_are_refused_when_applied() -> None:
    vectors = {"v": FeatureSpec(kind=ValueKind.FLOAT_VECTOR, dimension=2_000)}
    declared = EntityType(name="t", features=vectors)
    rules = [Rule(f"r{number}", "features.v.all(x, x in features.v)", "no") for number in range(3)]
    (first, said), *rest = COMPILER.rule_problems(rules, declared)
    assert first == 0
    assert "cannot be asked for values as they are declared" in said
    assert [number for number, _ in rest] == [1, 2]
    small = EntityType(name="t", features={"v": replace(vectors["v"], dimension=200)})
    assert list(COMPILER.rule_problems(rules, small)) == []


def test_vectors_of_any_declared_dimension_are_reckoned_with_and_none_is_made() -> None:
    """Nobody can store one of 2⁶³ - 1 components; to make it would take all memory."""
    huge = FeatureSpec(kind=ValueKind.FLOAT_VECTOR, dimension=2**63 - 1)
    declared = EntityType(name="t", features={f"v{number}": huge for number in range(1_000)})
    rules = [Rule("r", "features.v1.all(x, x > 0.0)", "no"), Rule("s", "!has(features.w)", "no")]
    ((number, said),) = COMPILER.rule_problems(rules, declared)
    assert number == 0
    assert "cannot be asked for values as they are declared" in said


def test_rules_that_are_too_long_together_are_refused_when_applied() -> None:
    rule = " && ".join(["features.n >= 0"] * 50)
    rules = [Rule(f"r{number}", rule, "no") for number in range(30)]
    (number, said), *rest = COMPILER.rule_problems(rules, CLOSED)
    assert number == 20_000 // len(rule)
    assert said == "with those before it, must not be longer than 20,000 characters"
    assert not rest


def test_many_long_rules_are_not_compiled_as_one() -> None:
    rule = " && ".join(["features.n >= 0"] * 50)
    rules = [Rule(f"r{number}", rule, "no") for number in range(20)]
    compiled = COMPILER.compile_rules(rules, ())
    assert compiled.broken(transition({}, {"n": 1}), recheck=True) == []
    assert isinstance(compiled, CelRules)
    assert list(compiled._joined.values()) == [None]
    assert len(compiled.broken(transition({}, {"n": -1}), recheck=True)) == 20
