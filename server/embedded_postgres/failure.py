"""The one exception of this package."""


class EmbeddedPostgresFailed(Exception):
    """The server's own PostgreSQL does not run; the message says why, to people."""
