"""Alembic runs this file for each command: with a connection, or to print SQL."""

from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script


def _raise_oldest_build(
    ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any
) -> None:
    """In the transaction of a migration that says so: older builds must not serve afterwards."""
    script = step.up_revision
    if isinstance(script, Script) and hasattr(script.module, "OLDEST_BUILD"):
        build = int(script.module.OLDEST_BUILD)
        raised = "UPDATE schema_window SET oldest_build = greatest(oldest_build, {})"
        ctx.execute(raised.format(build))


connection = context.config.attributes.get("connection")
database: dict[str, Any] = (
    {"connection": connection}
    if connection is not None
    # With another style of parameters every % would be printed twice.
    else {"dialect_name": "postgresql", "dialect_opts": {"paramstyle": "named"}}
)
context.configure(
    **database,
    # What is done is done: a later migration that fails is tried again alone.
    transaction_per_migration=True,
    on_version_apply=_raise_oldest_build,
)
with context.begin_transaction():
    context.run_migrations()
