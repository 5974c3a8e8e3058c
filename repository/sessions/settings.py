"""What each kind of session sets.

PostgreSQL, its databases and roles have defaults of their own for all of it: these do not matter.

Settings are sent in the session and not at its start, as poolers pass on few of those or refuse
them. `default_transaction_read_only` is left as it is: operators fence a database with it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from repository.sessions.facts import Facts
from runtime.time_outs import milliseconds

Settings: TypeAlias = Mapping[str, str]

# A page of a long history comes in the order of the index. PostgreSQL takes the columns of a key
# for independent of each other, so it expects few changes of an entity, and would sort all of them.
READ_COMMITTED: Final = {"default_transaction_isolation": "read committed", "enable_sort": "off"}

# A nested loop over the sorted keys of a batch takes its row locks in their order, so batches never
# deadlock; and no sequential scan may lock a whole relation against other serializable writers.
SERIALIZABLE: Final = {
    "default_transaction_isolation": "serializable",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}

TEXT_SETTINGS: Final = MappingProxyType(
    {
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "standard_conforming_strings": "on",
    }
)
"""What texts mean: of times in functions, and in SQL that is printed."""
_EVERYWHERE: Final = MappingProxyType(
    {
        **TEXT_SETTINGS,
        "default_transaction_deferrable": "off",
        "idle_session_timeout": "0",
    }
)
_FIRST_WITH_TRANSACTION_TIMEOUT: Final = 170_000


def server_settings(
    isolation: Settings, application_name: str, statement_timeout: float
) -> Settings:
    """Those of the sessions of a server; the time-out in seconds."""
    patience = shown(milliseconds(statement_timeout))
    return {
        **isolation,
        "application_name": application_name,
        "statement_timeout": patience,
        "lock_timeout": patience,
        "idle_in_transaction_session_timeout": patience,
        "jit": "off",
    }


def migration_settings(lock_timeout: float, statement_timeout: float) -> Settings:
    """Those of the session of a migration or a backfill; time-outs in seconds."""
    return {
        **READ_COMMITTED,
        "application_name": "featom migrate",
        "lock_timeout": shown(milliseconds(lock_timeout)),
        "statement_timeout": shown(milliseconds(statement_timeout)),
        "idle_in_transaction_session_timeout": "0",
    }


def to_be_set(wanted: Settings, facts: Facts) -> Settings:
    """Everything that a session sets, on the server that it has found."""
    settings = {**_EVERYWHERE, **wanted}
    if facts.version >= _FIRST_WITH_TRANSACTION_TIMEOUT:
        settings["transaction_timeout"] = "0"
    # Another schema of a role's search_path, or a temporary table, must not come in between.
    if len(facts.schemas) == 1:
        settings["search_path"] = f"{facts.schemas[0]}, pg_temp"
    # What is acknowledged must survive. The other values are the operator's to choose.
    if facts.synchronous_commit == "off":
        settings["synchronous_commit"] = "on"
    return settings


_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def shown(milliseconds: int) -> str:
    """A time as PostgreSQL shows it, in the largest unit without a fraction."""
    for unit, length in _UNITS:
        if milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"
