"""Asking a server, for commands: which one, over what, as whom, and what it means if it refuses."""

from server.asking.endpoint import Endpoint
from server.asking.options import with_endpoint
from server.asking.service import asking, failed

__all__ = ["Endpoint", "asking", "failed", "with_endpoint"]
