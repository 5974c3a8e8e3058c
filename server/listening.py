"""Opening a port."""

import grpc

from server.settings import SettingsRefused


def listen(server: grpc.aio.Server, address: str) -> int:
    """Listen on `address`; returns the port. Raises SettingsRefused if that cannot be done."""
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise SettingsRefused(f"cannot listen on {address}: {error}") from error
    if port == 0:
        raise SettingsRefused(f"cannot listen on {address}")
    return port
