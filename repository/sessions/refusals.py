"""Why a session must not be used.

    SessionRefused
    ├── VersionTooOld
    ├── WrongEncoding
    ├── OnStandby
    ├── ReadOnly
    ├── FormerPrimary         another server was promoted since
    ├── SharedConnection      by a pooler that is not in session mode
    ├── TablesScattered       search_path leads to tables of several schemas
    ├── SettingNotInForce
    ├── RightsMissing
    ├── HeartbeatHeldUp       a write is not committed
    └── DiskFull

The docstring of an error is its message where no better one is given.
"""

from collections.abc import Sequence


class SessionRefused(Exception):
    """The session is not fit for use."""

    def __init__(self, message: str = "", *, sqlstate: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0].rstrip("."))
        self.sqlstate = sqlstate or ""
        """As PostgreSQL has said it; empty where we found out ourselves."""


class VersionTooOld(SessionRefused):
    """PostgreSQL is too old."""


class WrongEncoding(SessionRefused):
    """The database does not store UTF-8."""


class OnStandby(SessionRefused):
    """The database is a standby."""


class ReadOnly(SessionRefused):
    """The database is read-only: default_transaction_read_only is on."""


class FormerPrimary(SessionRefused):
    """The database is a former primary."""

    def __init__(self, timeline: int, newest: int) -> None:
        super().__init__(
            f"The database is a former primary: it is on timeline {timeline},"
            f" and another server was promoted to {newest}"
        )


class SharedConnection(SessionRefused):
    """A pooler shares connections: it is in transaction or statement mode, and must be in session
    mode."""

    def __init__(self, *, sqlstate: str | None = None) -> None:
        super().__init__(
            "A pooler in transaction or statement mode shares our connections with others;"
            " it must be in session mode",
            sqlstate=sqlstate,
        )


class TablesScattered(SessionRefused):
    """The search_path leads to tables of several schemas."""

    def __init__(self, schemas: Sequence[str]) -> None:
        found = ", ".join(sorted(schemas))
        super().__init__(f"The search_path leads to tables of several schemas: {found}")


class SettingNotInForce(SessionRefused):
    """A setting of the session is not in force."""


class RightsMissing(SessionRefused):
    """The role lacks rights."""


class HeartbeatHeldUp(SessionRefused):
    """The database does not commit."""


class DiskFull(SessionRefused):
    """The disk of the database is full."""


def described(error: BaseException, address: str) -> str:
    """A failure in one line of a log: where, what, and what PostgreSQL calls it."""
    text = str(error) or type(error).__name__
    sqlstate = getattr(error, "sqlstate", None)
    # Where there are several hosts each is named already.
    where = "" if text.startswith(address) else f"{address}: "
    return f"{where}{text}" + (f" (SQLSTATE {sqlstate})" if sqlstate else "")
