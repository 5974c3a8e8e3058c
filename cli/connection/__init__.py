"""Asking a server, for commands: which one, over what, as whom, and what it means if it refuses."""
