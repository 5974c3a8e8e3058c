"""NAME=VALUE and its kin, as `featom update` understands them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from featom_client import FeatureList, append, inc, maximum, minimum, remove, vector
from hypothesis import given
from hypothesis import strategies as st

from cli.aggregates.assignments import AssignmentsRefused, read_assignments, read_json
from cli.output.values import as_cell, as_json, as_text, kind_of


@pytest.mark.parametrize(
    ("text", "name", "change"),
    [
        ("n=1", "n", 1),
        ("n=-9223372036854775808", "n", -(2**63)),
        ("n=1.", "n", 1.0),
        ("n=.5", "n", 0.5),
        ("n=1e3", "n", 1000.0),
        ("n=true", "n", True),
        ("n=True", "n", "True"),
        ("n=", "n", ""),
        ("n=nan", "n", "nan"),
        ("n=1_000", "n", "1_000"),
        ("n=0x10", "n", "0x10"),
        ("n=a=b", "n", "a=b"),
        ("n=https://example.org", "n", "https://example.org"),
        ("n=string:max:5", "n", "max:5"),
        ("n=string:", "n", ""),
        ("n=double:5", "n", 5.0),
        ("n=double:inf", "n", float("inf")),
        ("n=bool:false", "n", False),
        ("n=bytes:", "n", b""),
        ("n+=1", "n", inc(1)),
        ("n+=double:1", "n", inc(1.0)),
        ("n=max:1.5", "n", maximum(1.5)),
        ("n=min:timestamp:2026-01-01T00:00:00Z", "n", minimum(datetime(2026, 1, 1, tzinfo=UTC))),
        ("n=append:string:max:1", "n", append("max:1")),
        ("a.b:c-d=1", "a.b:c-d", 1),
    ],
)
def test_what_is_typed_is_what_is_meant(text: str, name: str, change: Any) -> None:
    (found,) = read_assignments([text]).items()
    assert found == (name, change)
    assert type(found[1]) is type(change)


@pytest.mark.parametrize(
    "text",
    [
        *("n", "=1", "+=1", "n=int64:1.0", "n=int64:x", "n=bool:yes", "n=bytes:x", "n=double:x"),
        *("n=timestamp:2026-01-01T00:00:00", "n=[1", "n=[]", "n=[1, true]", "n=[[1]]"),
        *("n=int64_list:1", "n=float_vector:[true]", "n=int64_list:{}"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(text: str) -> None:
    with pytest.raises(AssignmentsRefused) as refused:
        read_assignments(["other=1", text, "broken"])
    assert f"  {text}: " in str(refused.value)
    assert "  broken: " in str(refused.value)


def test_a_feature_is_named_once() -> None:
    with pytest.raises(AssignmentsRefused, match="n=2: is named twice"):
        read_assignments(["n=1", "n=2"])
    with pytest.raises(AssignmentsRefused, match="--remove n: is named twice"):
        read_assignments(["n=1"], ["n"])
    with pytest.raises(AssignmentsRefused, match="a name stands there twice"):
        read_json('{"n": 1, "n": 2}')


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1]", "{", '{"n": null}', '{"n": {}}', '{"n": {"a": 1, "b": 2}}'),
        *('{"n": {"remove": false}}', '{"n": {"what": 1}}', '{"n": {"int64": 1.5}}'),
        *('{"n": {"int64": true}}', '{"n": {"set": {"set": 1}}}', '{"n": []}'),
    ],
)
def test_json_that_says_no_change_is_refused(text: str) -> None:
    with pytest.raises(AssignmentsRefused):
        read_json(text)


def test_json_has_every_operation() -> None:
    text = (
        '{"a": {"increment": 1}, "b": {"minimum": 2.5}, "c": {"append": "x"},'
        ' "d": {"remove": true}}'
    )
    assert read_json(text, keep=3) == {
        "a": inc(1),
        "b": minimum(2.5),
        "c": append("x", 3),
        "d": remove(),
    }


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(timezones=st.just(UTC)).map(lambda each: each.replace(fold=0)),
    st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda each: FeatureList("int64_list", each)),
    st.lists(st.floats(width=32)).map(vector),
    st.lists(st.text()).map(lambda each: FeatureList("string_list", each)),
)


@given(VALUES)
def test_what_is_written_as_json_can_be_written_back_exactly(value: Any) -> None:
    written = json.dumps({"n": {kind_of(value): as_json(value)}}, allow_nan=False)
    (read,) = read_json(written).values()
    assert (kind_of(read), repr(read)) == (kind_of(value), repr(value))


def test_a_table_has_room_for_long_lists_and_shows_what_would_move_the_cursor() -> None:
    assert as_text(list(range(1_000))) == "[0, 1, 2, 3, 4, 5, 6, 7, … 1,000 in all]"
    assert as_text("a\x1b[2J\nb") == r"a\x1b[2J\nb"
    assert as_cell(None) == ""
