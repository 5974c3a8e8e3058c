"""The port that Prometheus scrapes, in threads of its own.

So a scrape does not hold up the event loop's tasks, and an event loop that hangs can still be seen.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, MetricsHandler

from server.metrics.metrics import Metrics
from server.settings import SettingsRefused

log = logging.getLogger(__name__)


_PAUSE: Final = 0.1


class _Scrape(MetricsHandler):
    timeout = 30.0
    """Seconds for which a client may say nothing, or take nothing."""


class _Port(ThreadingHTTPServer):
    """Answers each scrape in a thread of its own."""

    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """Raises OSError if the port cannot be had."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__((str(address[0]), port), _Scrape.factory(registry))

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError:
            # Without a file descriptor the next try fails too, at once, and so on: the thread would
            # take the processor from the event loop.
            time.sleep(_PAUSE)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.info("a scrape failed", exc_info=True)


@contextmanager
def serving_metrics(metrics: Metrics, address: str) -> Iterator[None]:
    """Serve /metrics on `address` during the block. Raises SettingsRefused if the port cannot be
    had.
    """
    host, _, port = address.rpartition(":")
    try:
        server = _Port(interface(host), int(port), metrics.registry)
    except OSError as error:
        raise SettingsRefused(f"cannot listen on {address}: {error}") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
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
