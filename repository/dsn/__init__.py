"""How a connection to PostgreSQL is made: from what a DSN says to a session on the right host."""
