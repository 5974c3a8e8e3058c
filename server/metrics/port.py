"""The port that Prometheus scrapes, in threads of its own.

So a scrape does not hold up the event loop's tasks, and an event loop that hangs can still be seen.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from server.metrics.metrics import Metrics
from server.settings import SettingsRefused

log = logging.getLogger(__name__)


@contextmanager
def serving_metrics(metrics: Metrics, address: str) -> Iterator[None]:
    """Serve /metrics on `address` during the block. Raises SettingsRefused if the port cannot be
    had.
    """
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), interface(host), metrics.registry)
    except OSError as error:
        raise SettingsRefused(f"cannot listen on {address}: {error}") from error
    log.info("metrics on %s:%d", host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def interface(host: str) -> str:
    """The wildcard of IPv6 is every address, as gRPC takes it, also where there is IPv4 alone."""
    if host == "[::]" and not socket.has_dualstack_ipv6():
        return "0.0.0.0"  # noqa: S104
    return host.strip("[]")
