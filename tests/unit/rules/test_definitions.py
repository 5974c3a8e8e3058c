"""Entity types as YAML files."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cli.entity_type_files import DefinitionRefused, read_definitions, write_definition
from codec.entity_type import decode_entity_type, encode_entity_type
from domain.entity_type import EntityType
from domain.entity_type_violations import entity_type_violations
from domain.limits import Limits
from repository.rules import CelCompiler
from server.conversion.entity_types import read_entity_type
from tests.kit.effort import at_once

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples" / "entity_types").rglob("*.yaml"))
SCHEMA = json.loads((ROOT / "cli" / "entity_type_files" / "entity_type.schema.json").read_text())
EVERYTHING = """
name: everything
additional_features: reject
features:
  a: {type: bool, required: true, default_value: false, description: a flag}
  b: {type: int64, minimum: -5, maximum: 9223372036854775807, late_policy: reject}
  c: {type: double, minimum: 1e-3, allow_non_finite: true, late_policy: apply}
  d: {type: string, allowed_values: [x, y], max_length: 3, pattern: "[a-z]"}
  e: {type: bytes, default_value: AAH/, max_length: 9}
  f: {type: timestamp, minimum: 2020-01-01T00:00:00Z, maximum: "2030-01-01T00:00:00+02:00"}
  g: {type: int64_list, minimum: 1, default_value: [1, 2]}
  h: {type: float_vector, dimension: 2, maximum: 1.5}
  i: {type: string_list, ttl: 36h}
  j: {type: string, ttl: 1234567.000000001s}
  k: {type: timestamp, minimum: "2020-01-01T00:00:00.000000001Z"}
rules:
  - {name: r, expression: features.a, message: not a}
"""


def definition_of(text: str, tmp_path: Path) -> EntityType:
    file = tmp_path / "type.yaml"
    file.write_text(text)
    (message,) = read_definitions(file)
    return read_entity_type(
        message, lambda each: entity_type_violations(each, CelCompiler(), Limits())
    )


def refusal_of(text: str, tmp_path: Path) -> str:
    file = tmp_path / "type.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionRefused) as refused:
        read_definitions(file)
    return str(refused.value)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_a_definition_and_fits_the_schema(file: Path, tmp_path: Path) -> None:
    definition_of(file.read_text(), tmp_path)
    jsonschema.validate(_plain(yaml.safe_load(file.read_text())), SCHEMA)


def test_everything_a_file_can_say_reads_back_as_the_same(tmp_path: Path) -> None:
    definition = definition_of(EVERYTHING, tmp_path)
    written = write_definition(encode_entity_type(definition))
    assert definition_of(written, tmp_path) == definition
    assert decode_entity_type(encode_entity_type(definition)) == definition
    jsonschema.validate(_plain(yaml.safe_load(written)), SCHEMA)


def test_all_problems_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    text = """
    additional_features: maybe
    features:
      a: {type: number}
      b: {type: int64, minimum: low, requird: true, ttl: soon, late_policy: never}
      c: {type: int64, required: "yes", allowed_values: [1, 9223372036854775808]}
      d: 7
    rules: [{name: r, expressoin: x}]
    colour: blue
    """
    said = refusal_of(text, tmp_path)
    for problem in (
        "name: must be set",
        "additional_features: must be one of allow, reject",
        "features.a.type: must be one of bool",
        "features.b.minimum: must be int64, is 'low'",
        "features.b.requird: there is no such field",
        "features.b.ttl: must be a duration",
        "features.b.late_policy: must be one of keep_newest, apply, reject",
        "features.c.required: must be bool, is 'yes'",
        "features.c.allowed_values[1]: must fit into 64 bits",
        "features.d: must be a mapping",
        "rules[0].expressoin: there is no such field",
        "colour: there is no such field",
    ):
        assert problem in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "name: a\nname: b",
        "name: a\nfeatures: {x: {type: int64}, x: {type: bool}}",
        "name: [",
        "name: !!python/object/apply:os.getcwd []",
        "name: a\nfeatures: [1]",
        "name: a\nrules: {r: 1}",
        "name: a\nrules: {}",
        "name: a\nfeatures: 0",
        "name: a\nfeatures: {on: {type: bool}}",
        "name: a\nfeatures: {1: {type: bool}}",
        'name: a\nfeatures: {"\\ud800": {type: bool}}',
        'name: "\\ud800"',
        'name: a\n"\\ud800": 1',
        'name: a\nfeatures: {x: {type: string, pattern: "\\udfff"}}',
        'name: a\nfeatures: {x: {type: string, allowed_values: ["\\udfff"]}}',
        "name: a\nfeatures: {x: {type: string, max_length: 99999999999999999999}}",
        f"name: a\nfeatures: {{x: {{type: string, ttl: {'9' * 500}d}}}}",
        "name: a\nfeatures: {x: {type: timestamp, minimum: 2020-01-01}}",
        "name: a\nfeatures: {x: {type: timestamp, minimum: soon}}",
        "? [a]\n: b",
        "[" * 100_000,
        "name: \x00",
        "name: &a [*a]",
    ],
)
def test_what_is_no_definition_is_refused(text: str, tmp_path: Path) -> None:
    assert "type.yaml" in refusal_of(text, tmp_path)


def test_a_small_file_that_means_a_lot_is_refused_at_once(tmp_path: Path) -> None:
    laughs = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with at_once():
        said = refusal_of("\n".join([*laughs, "name: *a11", "rules: *a11"]), tmp_path)
    assert "name: must be str" in said
    assert len(said) < 10_000


def test_what_is_no_text_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "type.yaml").write_bytes(b"name: \xff")
    with pytest.raises(DefinitionRefused):
        read_definitions(tmp_path / "type.yaml")


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionRefused, match=r"there is no \*\.yaml file in it"):
        read_definitions(tmp_path)


def test_a_file_may_hold_several_and_a_folder_more(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\n---\nname: b\n")
    (tmp_path / "c.yaml").write_text("name: c\n")
    assert [message.name for message in read_definitions(tmp_path)] == ["a", "b", "c"]


def _plain(document: Any) -> Any:
    """As JSON has it: times are texts."""
    return json.loads(json.dumps(document, default=str))
