"""An index that nobody needs, built while everybody writes."""

revision = "e2"
down_revision = "e1"

OPTIONAL = True


def upgrade() -> None:
    from repository.migrations.indexes import create_index

    create_index("aggregates_by_update_time", "aggregates (entity_type, update_time)")
