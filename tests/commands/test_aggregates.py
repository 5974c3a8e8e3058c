"""get, list, update, delete and diff, with their output in a pipe."""

import csv
import io
import json
import uuid
from typing import Any

import pytest

from tests.commands.conftest import Featom


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


EVERY_KIND = {
    "a_bool": ("true", "bool", True),
    "an_int": ("9223372036854775807", "int64", 2**63 - 1),
    "a_double": ("-0.1", "double", -0.1),
    "a_string": ("true story", "string", "true story"),
    "digits": ("string:0047", "string", "0047"),
    "some_bytes": ("bytes:AAH/", "bytes", "AAH/"),
    "a_time": ("timestamp:2026-01-31T13:00:00.000001+01:00", "timestamp",
               "2026-01-31T12:00:00.000001Z"),
    "bools": ("[true, false]", "bool_list", [True, False]),
    "ints": ("[1, -2]", "int64_list", [1, -2]),
    "doubles": ("[1, 2.5]", "double_list", [1.0, 2.5]),
    "strings": ('["a", "="]', "string_list", ["a", "="]),
    "no_ints": ("int64_list:[]", "int64_list", []),
    "vector": ("float_vector:[0.5, 1]", "float_vector", [0.5, 1.0]),
}  # fmt: skip
"""By name what is typed, the kind, and what JSON has."""


def test_every_kind_of_value_comes_back_exactly(featom: Featom, kind: str) -> None:
    typed = [f"{name}={text}" for name, (text, _, _) in EVERY_KIND.items()]
    assert featom("update", kind, "x", *typed).code == 0
    (found,) = objects(featom("get", kind, "x", "--json").out)
    assert found["version"] == 1
    got = {name: (each["kind"], each["value"]) for name, each in found["features"].items()}
    assert got == {name: (sort, value) for name, (_, sort, value) in EVERY_KIND.items()}


def test_json_on_standard_input_says_the_same(featom: Featom, kind: str) -> None:
    first = {
        "n": 5,
        "spent": 5.0,
        "v": {"float_vector": [0.5]},
        "b": {"set": {"bytes": "AAE="}},
        "l": [1, 2],
        "gone": "x",
    }
    assert featom("update", kind, "x", "-", stdin=json.dumps(first)).code == 0
    then = {
        "n": {"increment": 2},
        "spent": {"maximum": 7.5},
        "l": {"append": [3, 4]},
        "gone": {"remove": True},
    }
    done = featom("update", kind, "x", "-", "--keep", 3, "--show", "--json", stdin=json.dumps(then))
    (answer,) = objects(done.out)
    assert answer["version"] == 2
    values = {name: each["value"] for name, each in answer["aggregate"]["features"].items()}
    assert values == {"n": 7, "spent": 7.5, "v": [0.5], "b": "AAE=", "l": [2, 3, 4]}


def test_operations_do_what_they_say(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=5", "hi=5", "lo=5", "l=[1]", "old=1")
    done = featom(
        *("update", kind, "x", "n+=-2", "hi=max:7", "lo=min:3", "l=append:2", "--remove", "old")
    )
    assert (done.code, done.err) == (0, "")
    (found,) = objects(featom("get", kind, "x", "--json").out)
    values = {name: each["value"] for name, each in found["features"].items()}
    assert values == {"n": 3, "hi": 7, "lo": 3, "l": [1, 2]}


def test_a_pipe_gets_the_whole_table_in_plain_text(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", f"long={'ab' * 300}", "evil=string:\x1b[31mred")
    told = featom("get", kind, "x").out
    assert "ab" * 300 in told
    assert "\x1b" not in told
    assert r"\x1b[31mred" in told
    assert all(line == line.rstrip() for line in told.splitlines())


def test_csv_has_a_line_for_each_and_texts_as_they_are(featom: Featom, kind: str) -> None:
    featom("update", kind, "a", 'text=he said "no", twice', "n=1")
    featom("update", kind, "b", "n=2")
    told = featom("list", kind, "n", "text", "-o", "csv").out
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(each["entity_id"], each["n"], each["text"]) for each in rows] == [
        ("a", "1", 'he said "no", twice'),
        ("b", "2", ""),
    ]


def test_several_ids_make_a_table_and_those_missing_are_named(featom: Featom, kind: str) -> None:
    for entity_id in ("a", "b"):
        featom("update", kind, entity_id, "n=1")
    done = featom("get", kind, "-", "n", "--json", stdin="b\nnobody\n\na\n")
    assert [each["entity_id"] for each in objects(done.out)] == ["b", "a"]
    assert (done.code, done.err) == (3, "featom: not there: nobody (1 of 3)\n")
    assert featom("get", kind, "a", "--id", "b").code == 0


def test_a_list_says_when_there_is_more(featom: Featom, kind: str) -> None:
    for number in range(3):
        featom("update", kind, f"e{number}", "n=1")
    some = featom("list", kind, "--limit", 2, "--json")
    assert [each["entity_id"] for each in objects(some.out)] == ["e0", "e1"]
    assert some.err == "featom: there are more than 2; --limit 0 lists all\n"
    every = featom("list", kind, "--limit", 0, "--json")
    assert (len(objects(every.out)), every.err) == (3, "")
    exactly = featom("list", kind, "--limit", 3, "--json")
    assert (len(objects(exactly.out)), exactly.err) == (3, "")


def test_the_past_is_read_and_compared(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=1", "old=a", "same=1")
    featom("update", kind, "x", "n=2", "new=true", "--remove", "old")
    (past,) = objects(featom("get", kind, "x", "--as-of-version", 1, "--json").out)
    assert past["features"]["n"]["value"] == 1
    at = past["update_time"]
    (then,) = objects(featom("get", kind, "x", "--as-of-commit-time", at, "--json").out)
    assert then["version"] == 1
    done = featom("diff", kind, "x", 1, 2, "--json")
    assert done.code == 1
    assert [(each["feature"], each["change"]) for each in objects(done.out)] == [
        ("n", "changed"),
        ("new", "added"),
        ("old", "removed"),
    ]
    assert featom("diff", kind, "x", 1).out.splitlines()[2].split()[:2] == ["FEATURE", "CHANGE"]
    none = featom("diff", kind, "x", 2)
    assert (none.code, none.out.splitlines()[-1]) == (0, "no difference")


def test_the_history_tells_of_every_change(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=1", "b=bytes:AAE=", "--event-time", "2026-01-02T00:00:00Z")
    featom("update", kind, "x", "n=2", "--event-time", "2026-01-01T00:00:00Z")
    featom("update", kind, "x", "--remove", "b", "m=1")
    featom("delete", kind, "x")
    featom("update", kind, "x", "n=3")
    told = objects(featom("history", kind, "x", "--json").out)
    assert [(each["version"], each["deleted"]) for each in told] == [
        *((1, False), (3, True), (2, False), (1, False), (1, False))
    ]
    assert (told[-1]["features"], told[-2]["late"]) == ({"n": 1, "b": "AAE="}, {"n": 2})
    table = featom("history", kind, "x", "--oldest-first", "--limit", 4)
    lines = [line.split("  ") for line in table.out.splitlines()[1:]]
    changes = [[cell.strip() for cell in line if "=" in cell or "-b" in cell] for line in lines]
    assert changes == [["b=AAE=", "n=1"], ["(late) n=2"], ["m=1", "-b"], []]
    assert "deleted" in table.out
    assert table.err == "featom: there are more than 4; --limit 0 lists all\n"
    uid = told[-1]["uid"]
    assert len(objects(featom("history", kind, "x", "--uid", uid, "--json").out)) == 4
    old = featom("get", kind, "x", "--uid", uid, "--as-of-version", 2, "--json")
    (served,) = objects(old.out)
    assert {name: each["value"] for name, each in served["features"].items()} == {"m": 1, "n": 1}
    none = featom("history", kind, "nobody")
    assert (none.code, none.out) == (3, "")


def test_one_and_true_and_one_point_zero_differ(featom: Featom, kind: str) -> None:
    same_time = ("--event-time", "2026-01-01T00:00:00Z")
    featom("update", kind, "x", "n=1", *same_time)
    featom("update", kind, "x", "--remove", "n", "other=1", *same_time)
    featom("update", kind, "x", "n=true", *same_time)
    done = featom("diff", kind, "x", 1, 3, "--json")
    assert ("n", 1, True) in [
        (each["feature"], each.get("before"), each.get("after")) for each in objects(done.out)
    ]


def test_a_request_that_is_sent_again_is_applied_once(featom: Featom, kind: str) -> None:
    name = str(uuid.uuid4())
    for replayed in (False, True):
        done = featom("update", kind, "x", "n+=1", "--request-id", name, "--json")
        (answer,) = objects(done.out)
        assert (answer["version"], answer["replayed"]) == (1, replayed)


def test_nothing_is_written_by_what_is_only_validated(featom: Featom, kind: str) -> None:
    done = featom("update", kind, "x", "n=1", "--validate-only")
    assert (done.code, done.out) == (0, f"{kind}/x: would be taken\n")
    assert featom("get", kind, "x").code == 3


def test_late_values_are_told_of(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=1", "--event-time", "2026-01-02T00:00:00Z")
    done = featom("update", kind, "x", "n=2", "--event-time", "2026-01-01T00:00:00Z")
    assert "too late, and only in the history: n" in done.out


def test_what_is_deleted_is_gone_and_its_history_stays(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=1")
    assert featom("delete", kind, "x").out == f"{kind}/x: deleted at version 2\n"
    assert featom("get", kind, "x").code == 3
    assert featom("delete", kind, "x").code == 3
    refused = featom("delete", kind, "x", "--erase-history")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert featom("delete", kind, "x", "--erase-history", "--yes").code == 0


def test_types_are_listed_and_deleted(featom: Featom, kind: str, tmp_path: Any) -> None:
    file = tmp_path / "type.yaml"
    file.write_text(f"name: {kind}\nfeatures: {{n: {{type: int64, minimum: 0}}}}\n")
    assert featom("types", "apply", "-f", file).code == 0
    rows = objects(featom("types", "list", "--json").out)
    assert [each for each in rows if each["name"] == kind] == [
        {"name": kind, "revision": 1, "features": 1, "rules": 0, "additional_features": "allow"}
    ]
    featom("update", kind, "x", "n=1")
    in_use = featom("types", "delete", kind)
    assert (in_use.code, "--force" in in_use.err) == (4, True)
    assert featom("types", "delete", kind, "--force").code == 0
    assert featom("types", "delete", kind).code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("get", "nobody"), 3, "`featom list TYPE` shows"),
        (("get", "x", "--as-of-version", "99"), 3, "no such past"),
        (("get", "x", "--as-of-event-time", "2026-01-31T12:00:00"), 2, "has no time zone"),
        (("get", "x", "--as-of-event-time", "soon"), 2, "must be a time such as"),
        (("update", "x"), 2, "NAME=VALUE"),
        (("update", "x", "n", "m=bytes:?"), 2, "m=bytes:?: is no bytes"),
        (("update", "x", "n=a text"), 2, "n is string_value, but the feature is int64_value"),
        (("update", "x", "no name=1"), 2, "no name"),
        (("update", "x", "n=2", "--must-be-absent"), 5, "leave out --must-be-absent"),
        (("diff", "x"), 2, "TYPE, ID and VERSION"),
    ],
)
def test_each_refusal_has_its_exit_code_and_says_what_to_do(
    arguments: tuple[str, ...], code: int, said: str, featom: Featom, kind: str
) -> None:
    featom("update", kind, "x", "n=1")
    command, *rest = arguments
    done = featom(command, kind, *rest)
    assert (done.code, done.out) == (code, "")
    assert said in " ".join(done.err.split())


def test_an_etag_that_is_not_current_is_a_conflict(featom: Featom, kind: str) -> None:
    featom("update", kind, "x", "n=1")
    (before,) = objects(featom("get", kind, "x", "--json").out)
    featom("update", kind, "x", "n=2")
    done = featom("update", kind, "x", "n=3", "--etag", before["etag"])
    assert (done.code, "ETAG_MISMATCH" in done.err) == (5, True)
    assert "`featom get`" in done.err


def test_a_rule_that_is_broken_is_a_refusal_with_all_that_is_broken(
    featom: Featom, kind: str, tmp_path: Any
) -> None:
    file = tmp_path / "type.yaml"
    file.write_text(
        f"name: {kind}\n"
        "features: {n: {type: int64, minimum: 0}, m: {type: int64, maximum: 0}}\n"
    )
    featom("apply", "-f", file)
    done = featom("update", kind, "x", "n=-1", "m=1")
    assert (done.code, done.out) == (4, "")
    lines = [line.strip() for line in done.err.splitlines()]
    assert lines[0].startswith("featom: RULE_VIOLATED")
    assert {line.split(":")[0] for line in lines[1:3]} == {"n", "m"}


def test_a_variable_that_makes_no_sense_is_named(
    featom: Featom, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATOM_CLIENT_ONE_ADDRESS", "perhaps")
    done = featom("get", kind, "x")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("featom: FEATOM_CLIENT_ONE_ADDRESS must be")


def test_a_server_that_is_not_there_is_unavailable(featom: Featom, kind: str) -> None:
    done = featom("update", kind, "x", "n=1", "--target", "127.0.0.1:1", "--timeout", 5)
    assert (done.code, done.out) == (6, "")
    assert "cannot be reached" in done.err
    assert "`featom doctor`" in done.err
    assert "--request-id " in done.err
