"""A second port that offers nothing but health.

Kubernetes' own gRPC probes speak no TLS, and they come from the node, not from a client: so the
port is apart from the one that clients use, and may be open where that one must not be.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from server.listening import listen

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving_health(
    servicer: health.HealthServicer, address: str | None
) -> AsyncIterator[None]:
    """Serve health in plaintext on `address` during the block; without an address, do nothing.

    Raises SettingsRefused if the port cannot be had.
    """
    if address is None:
        yield
        return
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 1_024),
            ("grpc.max_concurrent_streams", 8),
        ]
    )
    add_HealthServicer_to_server(servicer, server)
    port = listen(server, address)
    await server.start()
    log.info("health on %s:%d", address.rpartition(":")[0], port)
    try:
        yield
    finally:
        await server.stop(None)
