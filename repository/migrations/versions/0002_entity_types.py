"""Entity types and their revisions."""

from typing import Final

revision = "0002"
down_revision = "0001"

# Every type that was ever written has a row: a writer locks it, so that a change of the type waits
# for the writers in flight, and is seen by those that come later. Without a definition there is no
# entity type, not yet or not any more. The revision only ever rises.
ENTITY_TYPES: Final = """
CREATE TABLE entity_types (
    name text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    definition bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70)
"""

REVISIONS: Final = """
CREATE TABLE entity_type_revisions (
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    definition bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, revision)
)
"""

# Rises with every change of any type. Reads get it beside each row, for nothing, so a server knows
# at once that what it has cached of the types is old.
GENERATION: Final = """
ALTER TABLE store_epoch ADD COLUMN types_generation bigint NOT NULL DEFAULT 0
"""


def upgrade() -> None:
    from alembic import op

    op.execute(ENTITY_TYPES)
    op.execute(REVISIONS)
    op.execute(GENERATION)
