"""The schema of the database, and how it comes about: Alembic over asyncpg.

`up` applies migrations, `backfill` fills what they have added, `status` says what is left to do,
`sql_from` tells what would be done. docs/migrations.md says how they come together.
"""

from repository.migrations.backfilling import BackfillHeldUp, Progress, Throttle, backfill
from repository.migrations.grants import RoleRefused
from repository.migrations.offline import sql_from
from repository.migrations.session import DatabaseUnfit, MigrationFailed, Patience
from repository.migrations.status import Status, status
from repository.migrations.up import Migrated, migrate, up

__all__ = [
    "BackfillHeldUp",
    "DatabaseUnfit",
    "Migrated",
    "MigrationFailed",
    "Patience",
    "Progress",
    "RoleRefused",
    "Status",
    "Throttle",
    "backfill",
    "migrate",
    "sql_from",
    "status",
    "up",
]
