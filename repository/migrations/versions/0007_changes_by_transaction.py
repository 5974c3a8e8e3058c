"""What was written since a moment is found by index."""

revision = "0007"
down_revision = "0006"

OPTIONAL = True


def upgrade() -> None:
    from repository.migrations.indexes import create_index_on_partitions

    # Not by commit time: that is read before the commit, and by clocks that may jump.
    create_index_on_partitions("changes_by_transaction", "changes", "entity_type, xid")
