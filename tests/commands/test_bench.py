"""`featom bench` measures, and leaves nothing behind."""

import json
from pathlib import Path

from tests.commands.conftest import Featom


def test_it_tells_what_it_took_and_cleans_up(featom: Featom, kind: str) -> None:
    done = featom("bench", "--type", kind, "--seconds", 0.5, "--entities", 10, "--json")
    assert (done.code, done.err) == (0, "")
    update, get = map(json.loads, done.out.splitlines())
    assert (update["operation"], get["operation"]) == ("update", "get")
    for row in (update, get):
        assert row["answered"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"]
        assert (row["refused"], row["reasons"]) == (0, "")
    assert featom("list", kind, "--json").out == ""


def test_it_keeps_off_a_type_that_is_there(featom: Featom, kind: str) -> None:
    featom("update", kind, "mine", "n=1")
    refused = featom("bench", "--type", kind, "--seconds", 0.5)
    assert (refused.code, refused.out, "--on-existing" in refused.err) == (2, "", True)
    done = featom("bench", "--type", kind, "--seconds", 0.5, "--on-existing", "--json")
    assert done.code == 0
    (left,) = featom("list", kind, "--json").out.splitlines()
    assert (json.loads(left)["entity_id"], json.loads(left)["version"]) == ("mine", 1)


def test_what_is_refused_is_counted_by_its_reason(
    featom: Featom, kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "type.yaml"
    file.write_text(f"name: {kind}\nadditional_features: reject\n")
    assert featom("apply", "-f", file).code == 0
    load = ("bench", "--type", kind, "--on-existing", "--reads", 0, "--callers", 2)
    done = featom(*load, "--seconds", 0.5, "--json")
    assert done.code == 1
    update, _ = map(json.loads, done.out.splitlines())
    assert update["answered"] == 0
    assert update["refused"] > 0
    assert update["reasons"] == f"RULE_VIOLATED {update['refused']}"
