"""A second port that offers nothing but health.

Kubernetes' own gRPC probes speak no TLS, and they come from the node, not from a client: so the
port is apart from the one that clients use, and may be open where that one must not be.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from server.health.service import SERVICE, HealthService
from server.rpc.listening import listen
from server.rpc.middleware import with_errors
from server.rpc.options import Options
from server.rpc.registration import register

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving_health(
    service: HealthService, address: str | None, options: Options
) -> AsyncIterator[None]:
    """Serve health in plaintext on `address` during the block; without an address, do nothing.

    Raises SettingsRefused if the port cannot be had.
    """
    if address is None:
        yield
        return
    server = grpc.aio.server(options=options)
    register(server, SERVICE, service, (with_errors,))
    port = listen(server, address)
    await server.start()
    log.info("health on %s:%d", address.rpartition(":")[0], port)
    try:
        yield
    finally:
        await server.stop(None)
