"""Ports for metrics and traces. Every part may record; only the server exports."""
