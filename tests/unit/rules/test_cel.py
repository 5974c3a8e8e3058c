"""Rules and patterns in CEL: what they mean, and which are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from domain.entity_type import EntityType, Rule
from domain.feature_spec import FeatureSpec
from domain.timestamp import SECOND
from domain.transition import Transition
from domain.values import ValueKind
from repository.rules.reading import read_expression
from tests.kit.effort import at_once
from tests.unit.rules.transitions import COMPILER, NOW, At, broken, features, problem

NOW_T = At(NOW)
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
