"""Entity keys: what may stand in one, and how they sort."""

import pytest

from domain.entity_key import EntityKey, key_violations

LONGEST_TYPE = "a" * 63


def fields(key: EntityKey) -> list[str]:
    return [violation.field for violation in key_violations(key)]


@pytest.mark.parametrize("entity_type", ["a", "customer", "card_2", LONGEST_TYPE])
@pytest.mark.parametrize(
    "entity_id", ["x", " ", "a/b:c", "Zürich", "😀" * 64, "x" * 256, "ä" * 128]
)
def test_a_proper_key_has_nothing_wrong(entity_type: str, entity_id: str) -> None:
    assert fields(EntityKey(entity_type, entity_id)) == []


@pytest.mark.parametrize(
    "entity_type", ["", "A", "1a", "_a", "a-b", "a b", "ä", "a\n", LONGEST_TYPE + "a"]
)
def test_an_improper_entity_type_is_named(entity_type: str) -> None:
    assert fields(EntityKey(entity_type, "x")) == ["key.entity_type"]


@pytest.mark.parametrize(
    "entity_id",
    [
        *("", "x" * 257, "ä" * 128 + "x", "😀" * 64 + "x"),
        *("\0", "a\tb", "a\n", "\x1f", "\x7f", "\x80", "\x9f", "ä\x85"),
    ],
    ids=ascii,
)
def test_an_improper_entity_id_is_named(entity_id: str) -> None:
    assert fields(EntityKey("customer", entity_id)) == ["key.entity_id"]


def test_everything_wrong_with_a_key_is_named_at_once() -> None:
    assert fields(EntityKey("", "")) == ["key.entity_type", "key.entity_id"]


def test_keys_sort_by_type_and_then_by_the_code_points_of_the_id() -> None:
    keys = [
        EntityKey("a", "Z"),
        EntityKey("a", "a"),
        EntityKey("a", "z"),
        EntityKey("a", "ä"),
        EntityKey("a", "￿"),
        EntityKey("a", "😀"),
        EntityKey("b", "A"),
    ]
    assert sorted({*keys}) == keys
    assert sorted(keys, key=lambda key: (key.entity_type, key.entity_id.encode())) == keys
