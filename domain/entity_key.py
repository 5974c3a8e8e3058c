"""The name of one entity."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from domain.errors import FieldViolation
from domain.limits import LONGEST_ENTITY_TYPE, MAX_ENTITY_ID_BYTES

ENTITY_TYPE: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST_ENTITY_TYPE - 1}}}")
# Unicode's category Cc: C0, DEL and C1.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class EntityKey(NamedTuple):
    """An entity type and an entity id; keys sort by type, then id, both by code point."""

    entity_type: str
    entity_id: str

    def __str__(self) -> str:
        """For messages to callers."""
        return f"{self.entity_type}/{self.entity_id}"


def entity_type_problem(entity_type: str) -> str | None:
    """What is wrong with the name of an entity type, or None."""
    if not entity_type:
        return "must not be empty"
    # What is remembered stays in memory, and callers can make up names as long as a message.
    if len(entity_type) > LONGEST_ENTITY_TYPE or not _is_entity_type(entity_type):
        return f"must match {ENTITY_TYPE.pattern}"
    return None


# There are many entities of few types.
@lru_cache(maxsize=4_096)
def _is_entity_type(name: str) -> bool:
    return ENTITY_TYPE.fullmatch(name) is not None


def entity_id_problem(entity_id: str) -> str | None:
    """What is wrong with an entity id, or None."""
    if not entity_id:
        return "must not be empty"
    if entity_id.isascii():
        size = len(entity_id)
        if size <= MAX_ENTITY_ID_BYTES and entity_id.isprintable():
            return None
    else:
        size = len(entity_id.encode(errors="surrogatepass"))
    if size > MAX_ENTITY_ID_BYTES:
        return f"must not be longer than {MAX_ENTITY_ID_BYTES} bytes, is {size}"
    if CONTROL.search(entity_id):
        return "must not contain control characters"
    return None


def all_sound(entity_ids: Sequence[str]) -> bool:
    """Whether these are ids with nothing wrong, found out together because they are many.

    False says no more than that they must be looked at one by one.
    """
    together = "".join(entity_ids)
    return (
        all(entity_ids)
        and together.isascii()
        and together.isprintable()
        and max(map(len, entity_ids), default=0) <= MAX_ENTITY_ID_BYTES
    )


def key_violations(key: EntityKey) -> list[FieldViolation]:
    """Everything that is wrong with the key of a request."""
    violations = []
    if problem := entity_type_problem(key.entity_type):
        violations.append(FieldViolation("key.entity_type", problem))
    if problem := entity_id_problem(key.entity_id):
        violations.append(FieldViolation("key.entity_id", problem))
    return violations
