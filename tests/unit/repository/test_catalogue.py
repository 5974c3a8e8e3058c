"""Policies that were compiled are kept, but not all of them."""

from typing import Any

from domain.entity_type import EntityType
from repository.codec.entity_type import dump_entity_type
from repository.entity_types.catalogue import Catalogue
from repository.rules import CelCompiler


class Definitions:
    """In the place of a pool: has each revision of each type, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def read(self, sql: str, names: list[str], revisions: list[int]) -> list[Any]:
        self.asked += revisions
        return [
            (name, revision, dump_entity_type(EntityType(name=name, revision=revision)))
            for name, revision in zip(names, revisions, strict=True)
        ]


async def test_those_used_last_are_kept_and_each_is_given_that_is_asked_for() -> None:
    definitions = Definitions()
    catalogue = Catalogue(definitions, CelCompiler())  # type: ignore[arg-type]
    for revision in (8, 7, 6, 5, 8, 1, 8, 1, 5, 6, 7):
        policy = (await catalogue.policies({"customer": revision}))["customer"]
        assert policy is not None
        assert policy.revision == revision
    assert definitions.asked == [8, 7, 6, 5, 1, 7]
