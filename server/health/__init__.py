"""Health: what is published, the service that tells it, and a port of its own."""
