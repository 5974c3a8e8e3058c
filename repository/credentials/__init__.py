"""The password of the database, where it is not in the DSN: out of a file, or from Entra."""
