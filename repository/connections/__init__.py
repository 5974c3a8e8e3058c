"""Connections to PostgreSQL: how they are opened, how long they may take, what failures mean."""
