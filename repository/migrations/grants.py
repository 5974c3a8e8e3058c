"""What the role of the servers may do: rows, and not one thing to the schema."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from repository.migrations.session import MigrationFailed
from repository.sessions.facts import Session

TABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aggregates": "SELECT, INSERT, UPDATE, DELETE",
        "alembic_version": "SELECT",
        # DELETE is for deletions that erase the history.
        "changes": "SELECT, INSERT, DELETE",
        "durable_since": "SELECT, INSERT, DELETE",
        "entity_type_revisions": "SELECT, INSERT",
        "entity_types": "SELECT, INSERT, UPDATE",
        # As of changes: an erasure leaves no request of what it erases.
        "requests": "SELECT, INSERT, DELETE",
        # What is kept for how long is the owner's to set; servers say what they promise.
        "retention": "SELECT",
        "schema_window": "SELECT",
        # The epoch is the operator's to raise, and follow_timeline's.
        "store_epoch": "SELECT, UPDATE (types_generation, commits_in_doubt)",
    }
)
OF_THE_OWNER: Final = frozenset({"backfills", "past_partitions"})
"""Tables that servers have nothing to do with."""

FUNCTIONS: Final = (
    "advance_partitions(interval)",
    "current_timeline()",
    "follow_timeline()",
    "observe_retention(interval, interval, interval)",
)


class RoleRefused(MigrationFailed):
    """The servers cannot have this role; the message says why."""


_PRIVILEGE: Final = re.compile(r"([A-Z]+)(?: \(([\w, ]+)\))?")


def needed_rights() -> list[tuple[str, str | None, str]]:
    """What servers need, one right at a time: a table or function, a column, the privilege."""
    return [
        *(
            (table, column or None, privilege)
            for table, privileges in TABLES.items()
            for privilege, columns in _PRIVILEGE.findall(privileges)
            for column in columns.split(", ")
        ),
        *((function, None, "EXECUTE") for function in FUNCTIONS),
    ]


def grants_to(role: str) -> list[str]:
    """Statements that leave a role with exactly what servers need of our tables and functions."""
    name = _quoted(role)
    tables = ", ".join((*TABLES, *sorted(OF_THE_OWNER)))
    return [
        f"REVOKE ALL ON {tables} FROM {name}",
        _usage_of_schema(role),
        *(f"GRANT {privileges} ON {table} TO {name}" for table, privileges in TABLES.items()),
        *(f"GRANT EXECUTE ON FUNCTION {function} TO {name}" for function in FUNCTIONS),
    ]


async def grant_to(session: Session, role: str) -> None:
    """Give a role what servers need, and take from it what they do not.

    Raises RoleRefused.
    """
    await _check(session, role)
    async with session.transaction():
        for statement in grants_to(role):
            await session.execute(statement)


async def _check(session: Session, role: str) -> None:
    exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
    if not await session.fetchval(exists, role):
        raise RoleRefused(f"there is no role {role}; CREATE ROLE {_quoted(role)} LOGIN makes one")
    # Also true of a superuser, and of the owner itself, from whom too much would be taken.
    if await session.fetchval("SELECT pg_has_role($1::name, current_user, 'MEMBER')", role):
        raise RoleRefused(f"the role {role} can do whatever the owner of the schema can")


def _usage_of_schema(role: str) -> str:
    """USAGE of the schema that the tables are in, whichever that is."""
    literal = role.replace("'", "''")
    return (
        "DO $$ BEGIN EXECUTE format("
        f"'GRANT USAGE ON SCHEMA %I TO %I', current_schema(), '{literal}'); END $$"
    )


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'
