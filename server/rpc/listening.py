"""Opening a port."""

import grpc

from server.settings import SettingsRefused


def listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None = None
) -> int:
    """Listen on `address`; returns the port. Raises SettingsRefused if that cannot be done.

    Without credentials in plaintext.
    """
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise SettingsRefused(f"cannot listen on {address}: {error}") from error
    if port == 0:
        raise SettingsRefused(f"cannot listen on {address}")
    return port
