"""The `featom` command."""
