"""The authorization file is read as it is meant, or refused with everything that is wrong."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import server.access
from server.access.authorization_file import read_grants, watched_grants
from server.access.permissions import Need, Permission
from server.process.watched_files import ContentRefused
from server.settings import SettingsRefused

SCHEMA = json.loads((Path(server.access.__file__).parent / "authorization.schema.json").read_text())

GOOD = """
grants:
  - principals: ["jwt:system:serviceaccount:fraud:scorer", "uri:spiffe://prod/scorer"]
    read: [card, "shop_*"]
  - principals: ["**"]
    write: ["*"]
    admin: [card]
"""

WRONG = {
    "nothing": ("", ["must be a mapping with a list 'grants'"]),
    "a list": ("[]", ["must be a mapping with a list 'grants'"]),
    "no grants": ("grants: 1", ["must be a mapping with a list 'grants'"]),
    "a field too many": ("{grants: [], grant: []}", ["grant: there is no such field"]),
    "a grant that is none": ("grants: [x]", ["grants[0]: must be a mapping"]),
    "a misspelt permission": (
        "grants: [{principals: ['cn:a'], raed: ['*']}]",
        ["grants[0].raed: there is no such field", "must have at least one of read, write, admin"],
    ),
    "nobody": ("grants: [{read: ['*']}]", ["grants[0].principals: must be a list"]),
    "an empty list": (
        "grants: [{principals: [], read: []}]",
        ["grants[0].principals: must be a list", "grants[0].read: must be a list"],
    ),
    "a principal without its sort": (
        "grants: [{principals: [alice, 'cn:alice', 7], read: [card]}]",
        ["grants[0].principals: 'alice' must match", "grants[0].principals: 7 must match"],
    ),
    "one star for everybody": (
        "grants: [{principals: ['*'], read: [card]}]",
        ["grants[0].principals: '*' must match"],
    ),
    "three stars": (
        "grants: [{principals: ['cn:***'], read: [card]}]",
        ["grants[0].principals: 'cn:***' must match"],
    ),
    "a type that cannot be": (
        "grants: [{principals: ['cn:a'], read: [Card, card]}]",
        ["grants[0].read: 'Card' must match"],
    ),
}
NOT_YAML = {
    "a key twice": "grants: []\ngrants: []",
    "broken": "grants: [",
    "an object": "!!python/object/apply:os.system [true]",
    "deep": "[" * 5_000,
}


def test_a_file_grants_what_it_says() -> None:
    grants = read_grants(GOOD.encode())
    scorer = "jwt:system:serviceaccount:fraud:scorer"
    needs = [Need(permission, "shop_one") for permission in Permission]
    assert grants.refused(scorer, needs) == [Need(Permission.ADMIN, "shop_one")]
    assert grants.refused("cn:bob", needs) == [needs[0], needs[2]]


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_wrong_is_refused_with_everything_that_is(
    text: str, told: list[str]
) -> None:
    with pytest.raises(ContentRefused) as refused:
        read_grants(text.encode())
    assert all(each in str(refused.value) for each in told)


@pytest.mark.parametrize("text", NOT_YAML.values(), ids=NOT_YAML)
def test_what_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(ContentRefused):
        read_grants(text.encode())


@pytest.mark.parametrize("text", [GOOD, "grants: []", *(text for text, _ in WRONG.values())])
def test_the_schema_accepts_what_the_server_accepts(text: str) -> None:
    document: Any = yaml.safe_load(text)
    accepted = jsonschema.Draft202012Validator(SCHEMA).is_valid(document)
    if text in (GOOD, "grants: []"):
        assert accepted
        read_grants(text.encode())
    else:
        assert not accepted


def test_a_broken_change_leaves_the_old_grants_in_force(tmp_path: Path) -> None:
    file = tmp_path / "authorization.yaml"
    file.write_text(GOOD)
    watched = watched_grants(file)
    before = watched.current
    file.write_text("grants: 1")
    watched.refresh()
    assert watched.current is before
    file.write_text("grants: []")
    watched.refresh()
    assert watched.current.refused("cn:bob", [Need(Permission.WRITE, "card")])


@pytest.mark.parametrize(
    "path",
    [
        "examples/security/authorization.yaml",
        "deploy/kubernetes/components/tokens/authorization.yaml",
    ],
)
def test_what_is_shipped_is_good(path: str) -> None:
    content = (Path(__file__).parents[4] / path).read_bytes()
    read_grants(content)
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(content))


def test_at_the_start_a_broken_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "authorization.yaml"
    file.write_text("grants: [x, y]")
    with pytest.raises(SettingsRefused) as refused:
        watched_grants(file)
    assert "grants[0]: must be a mapping; grants[1]: must be a mapping" in str(refused.value)
