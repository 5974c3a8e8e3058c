"""How a client is set up; the same for both."""

import os
from abc import ABC, abstractmethod

from featom_client.connection import Token, from_environment
from featom_client.retries import Retry, Timeouts


class Configured(ABC):
    """Which servers to ask, for how long and how often."""

    def __init__(
        self,
        target: str | None = None,
        *,
        tls: bool | None = None,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        server_name: str | None = None,
        token: Token = None,
        one_address: bool | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
    ) -> None:
        """Connect at the first call, not yet.

        `target` is HOST:PORT or another form that gRPC knows. Any TLS option turns TLS on; `ca`,
        `certificate` and `key` are PEM files. `token` is sent with each call; a function is called
        for it each time. `one_address` says that all servers are behind one address, such as a load
        balancer. Defaults come from FEATOM_TARGET and FEATOM_CLIENT_…. Raises ValueError.
        """
        given = {
            "target": target,
            "tls": tls,
            "ca": ca,
            "certificate": certificate,
            "key": key,
            "server_name": server_name,
            "token": token,
            "one_address": one_address,
        }
        self.timeouts = timeouts or Timeouts()
        self.retry = retry or Retry()
        self._connection = from_environment(given, os.environ)
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what will make channels of `_connection`."""
