"""Rules and patterns in CEL: what they mean, and that a hostile one costs nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature import Feature
from domain.feature_spec import FeatureSpec
from domain.timestamp import SECOND
from domain.transition import Transition
from domain.values import FeatureValue, ValueKind
from repository.rules import CelCompiler
from repository.rules.compiled import CelRules
from repository.rules.compiler import CelPattern
from repository.rules.reading import read_expression
from tests.kit.effort import at_once

COMPILER = CelCompiler()
NOW = 1_700_000_000 * SECOND


class At(int):
    """A point in time, as the value of a feature."""


NOW_T = At(NOW)
CLOSED = EntityType(
    name="customer",
    features={
        "n": FeatureSpec(kind=ValueKind.INT64),
        "x": FeatureSpec(kind=ValueKind.DOUBLE),
        "s": FeatureSpec(kind=ValueKind.STRING),
        "l": FeatureSpec(kind=ValueKind.INT64_LIST),
        "t": FeatureSpec(kind=ValueKind.TIMESTAMP),
    },
    additional_features=AdditionalFeatures.REJECT,
)
_KINDS = {
    bool: ValueKind.BOOL,
    int: ValueKind.INT64,
    float: ValueKind.DOUBLE,
    str: ValueKind.STRING,
    tuple: ValueKind.INT64_LIST,
    At: ValueKind.TIMESTAMP,
}


def features(values: Mapping[str, Any]) -> dict[str, Feature]:
    return {
        name: Feature(FeatureValue(_KINDS[type(each)], each), 0, 1) for name, each in values.items()
    }


def transition(
    before: Mapping[str, Any], changed: Mapping[str, Any], removed: tuple[str, ...] = ()
) -> Transition:
    return Transition("c-1", features(before), NOW, features(changed), removed, {})


def problem(expression: str, declared: EntityType = CLOSED) -> str:
    found = list(COMPILER.rule_problems([Rule("r", expression, "no")], declared))
    return found[0][1] if found else ""


def broken(
    expressions: str | list[str],
    before: Mapping[str, Any],
    changed: Mapping[str, Any],
    removed: tuple[str, ...] = (),
    *,
    recheck: bool = True,
) -> list[str]:
    texts = [expressions] if isinstance(expressions, str) else expressions
    rules = [Rule(f"r{number}", text, "no") for number, text in enumerate(texts)]
    compiled = COMPILER.compile_rules(rules, ())
    found = compiled.broken(transition(before, changed, removed), recheck=recheck)
    return [each.subject for each in found]


TOGETHER = '("balance" in changed) == ("currency" in changed)'
RESTING = '!has(previous.state) || previous.state != "closed" || !("txn" in changed)'


@pytest.mark.parametrize(
    ("expression", "before", "changed", "holds"),
    [
        ("features.a <= features.b", {"a": 1}, {"b": 1}, True),
        ("features.a <= features.b", {"a": 2}, {"b": 1}, False),
        ("features.a <= features.b", {"a": 2}, {"b": 2.5}, True),
        ("features.a <= features.b && features.b <= features.c", {"a": 1, "c": 3}, {"b": 4}, False),
        (TOGETHER, {}, {"balance": 1, "currency": "EUR"}, True),
        (TOGETHER, {"currency": "EUR"}, {"balance": 1}, False),
        (RESTING, {"state": "closed"}, {"txn": 1}, False),
        (RESTING, {"state": "closed"}, {"state": "open", "txn": 1}, False),
        (RESTING, {"state": "open"}, {"state": "closed", "txn": 1}, True),
        (RESTING, {}, {"txn": 1}, True),
        ('features["a:1h"] > 0', {"a:1h": 1}, {"b": 1}, True),
        ("features.all(name, features[name] > 0)", {"a": 1}, {"b": 0}, False),
        ('entity_id.startsWith("c-")', {}, {"a": 1}, True),
        ('now > timestamp("2020-01-01T00:00:00Z")', {}, {"a": 1}, True),
        ("features.l.exists(x, x > 2)", {}, {"l": (1, 3)}, True),
        ("features.t <= now", {}, {"t": NOW_T}, True),
        ('now - features.t > duration("1h")', {}, {"t": NOW_T}, False),
        ("features.a > 0 // said", {}, {"a": 1}, True),
    ],
)
def test_a_rule_sees_before_after_and_what_changed(
    expression: str, before: Mapping[str, Any], changed: Mapping[str, Any], holds: bool
) -> None:
    assert broken(expression, before, changed) == ([] if holds else ["r0"])


def test_a_removed_feature_is_missing_and_a_missing_feature_breaks_the_rule() -> None:
    assert broken("features.a > 0", {"a": 1}, {"b": 1}) == []
    assert broken("features.a > 0", {"a": 1}, {}, ("a",)) == ["r0"]
    assert broken("!has(features.a) || features.a > 0", {"a": 1}, {}, ("a",)) == []


def test_a_rule_that_raises_at_run_time_does_not_hold() -> None:
    # The runtime answers with an error's text, which counts as true in Python.
    assert broken("10 / features.a > 1", {}, {"a": 0}) == ["r0"]
    assert broken("features.a + 9223372036854775807 > 0", {}, {"a": 1}) == ["r0"]
    assert broken("features.a", {}, {"a": "true"}) == ["r0"]
    assert broken("features.a", {}, {"a": True}) == []


def test_only_the_rules_that_are_broken_are_named() -> None:
    rules = ["features.a > 0", "features.b > 0", "features.zz > 0", "true"]
    assert broken(rules, {"a": 1}, {"b": 0}) == ["r1", "r2"]


def test_a_rule_whose_features_did_not_change_is_left_out_unless_all_are_rechecked() -> None:
    assert broken("features.a > 0", {"a": 0}, {"b": 1}, recheck=False) == []
    assert broken("features.a > 0", {"a": 0}, {"b": 1}, recheck=True) == ["r0"]
    assert broken("features.a > 0", {"a": 1}, {"a": 0}, recheck=False) == ["r0"]
    assert broken("features.all(n, features[n] > 0)", {}, {"b": 0}, recheck=False) == ["r0"]


@pytest.mark.parametrize(
    "rule",
    [
        'previous.state != "closed"',
        '!("txn" in changed)',
        'now < timestamp("2020-01-01T00:00:00Z")',
    ],
)
def test_a_rule_about_more_than_features_is_asked_at_every_update(rule: str) -> None:
    before = {"state": "closed"}
    assert broken(rule, before, {"txn": 1}, recheck=False) == ["r0"]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("features.n <", "line 1, column 13"),
        ("features.n > 1 &&\n bogus", "line 2, column 2: undeclared reference to 'bogus'"),
        ("features.n + 1", "must be true or false, is int"),
        ("features.n", "must be true or false, is int"),
        ("features.s < 3", "does not fit the types"),
        ("features.s.matches('(')", "invalid regular expression"),
        ("features.s.matches(features.s)", "matches takes a text that is written out"),
        ("matches(features.s, 'a' + 'b')", "matches takes a text that is written out"),
        (r"features.s.matches('\\pL\u007b99}')", "takes too long"),
        ("features.other > 1", "reads other, which is not declared"),
        ("previous.other > 1", "reads other, which is not declared"),
        ("", "must not be empty"),
        ("features.in > 1", "line 1, column 10"),
        ("features.l.map(x, x).size() > 0", "map takes too long"),
        ("features.l.filter(x, x > 0).size() > 0", "filter takes too long"),
        ("features.l.all(x, features.l.all(y, x < y))", "a macro in a macro"),
        ("features.l.all(x, [1].all(features, true))", "a macro in a macro"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_the_reason(expression: str, said: str) -> None:
    assert said in problem(expression)


@pytest.mark.parametrize(
    "expression",
    [
        " + ".join(["1"] * 10_000) + " > 0",
        " && ".join(["features.n > 0"] * 10_000),
        "(" * 5_000 + "true" + ")" * 5_000,
        "(" * 400 + "true" + ")" * 400,
        "[" * 900,
        "!" * 1_000 + "true",
        "features" + ".n" * 400 + " > 1",
        "'" * 999,
        "\x00" * 100,
        "😀" * 900,
        "true ? " * 130 + "true",
    ],
)
def test_a_hostile_expression_is_refused_at_once(expression: str) -> None:
    with at_once():
        assert problem(expression)


@pytest.mark.parametrize(
    "name", ["for", "package", "type", "int", "size", "has", "features", "now"]
)
def test_a_feature_may_be_named_like_a_word_of_cel(name: str) -> None:
    declared = EntityType(name="t", features={name: FeatureSpec(kind=ValueKind.INT64)})
    assert problem(f'features["{name}"] > 0', declared) == ""
    assert broken(f'features["{name}"] > 0', {}, {name: 0}) == ["r0"]
    assert broken(f'features["{name}"] > 0', {}, {name: 1}) == []


@pytest.mark.parametrize("name", ["in", "true", "null"])
def test_a_reserved_name_is_read_by_index(name: str) -> None:
    assert broken(f'features["{name}"] > 0', {}, {name: 1}) == []


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


def test_what_has_expired_is_missing_to_rules() -> None:
    brief = {"a": FeatureSpec(kind=ValueKind.INT64, ttl=SECOND)}
    rules = [Rule("now", "!has(features.a)", "no"), Rule("before", "!has(previous.a)", "no")]
    compiled = COMPILER.compile_rules(rules, brief)
    expired = Transition("c-1", features({"a": 1}), NOW, {}, (), brief)
    assert list(compiled.broken(expired, recheck=True)) == []
    # It expires without anybody changing it.
    fresh = Transition("c-1", features({"a": 1}), SECOND - 1, features({"b": 1}), (), brief)
    assert len(compiled.broken(fresh, recheck=False)) == 2


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "(?=a)", r"\1", "a{1001}", "[", "*", "\\"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    assert "is not a regular expression" in (COMPILER.pattern_problem(pattern) or "")


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("features.a + features['b'] + features[\"c\"]", {"a", "b", "c"}),
        ("has(features.a) && size(features.b) > 0", {"a", "b"}),
        ("'features.x' == features.a", {"a"}),
        ("features.a > 0 // features.b", {"a"}),
        ("features[entity_id] > 0", None),
        ("features.all(n, true)", None),
        ("features['a' + 'b'] > 0", None),
        (r"features['a\n'] > 0", None),
        ("features == previous", None),
        ("now > now", set()),
    ],
)
def test_what_a_rule_reads_is_found_or_taken_for_everything(
    expression: str, named: set[str] | None
) -> None:
    assert read_expression(expression).features == named


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
