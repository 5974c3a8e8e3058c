"""Asking a server, for commands: which one, over what, as whom, and what it means if it refuses."""

from cli.connection.endpoint import Endpoint
from cli.connection.options import with_endpoint
from cli.connection.service import connected, entity_type_service, failed

__all__ = ["Endpoint", "connected", "entity_type_service", "failed", "with_endpoint"]
