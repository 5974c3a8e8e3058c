"""Policies that were compiled are kept, but not all of them."""

from typing import Any

import pytest

from codec.entity_type import dump_entity_type
from domain.entity_type import EntityType
from domain.errors import DatabaseUnavailable
from repository.entity_types.catalogue import Catalogue
from repository.rules import CelCompiler


class Definitions:
    """In the place of a pool: has each revision of each type, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.epoch = 1

    async def read(self, sql: str, names: list[str], revisions: list[int]) -> list[Any]:
        self.asked += revisions
        return [
            (name, revision, dump_entity_type(EntityType(name=name, revision=revision)), self.epoch)
            for name, revision in zip(names, revisions, strict=True)
        ]


async def test_those_used_last_are_kept_and_each_is_given_that_is_asked_for() -> None:
    definitions = Definitions()
    catalogue = Catalogue(definitions, CelCompiler())  # type: ignore[arg-type]
    for revision in (8, 7, 6, 5, 8, 1, 8, 1, 5, 6, 7):
        policy = (await catalogue.policies({"customer": revision}, 1))["customer"]
        assert policy is not None
        assert policy.revision == revision
    assert definitions.asked == [8, 7, 6, 5, 1, 7]


async def test_what_is_known_of_one_epoch_is_forgotten_in_the_next() -> None:
    definitions = Definitions()
    catalogue = Catalogue(definitions, CelCompiler())  # type: ignore[arg-type]
    await catalogue.policies({"customer": 1}, 1)
    definitions.epoch = 2
    await catalogue.policies({"customer": 1}, 2)
    assert definitions.asked == [1, 1]


async def test_a_revision_of_another_epoch_than_was_asked_for_is_not_taken_for_it() -> None:
    definitions = Definitions()
    catalogue = Catalogue(definitions, CelCompiler())  # type: ignore[arg-type]
    definitions.epoch = 2
    with pytest.raises(DatabaseUnavailable):
        await catalogue.policies({"customer": 1}, 1)
