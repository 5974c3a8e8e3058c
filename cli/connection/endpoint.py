"""The server that a command asks."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.addresses import host_of, is_loopback

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds: to apply an entity type may take minutes, as all that is stored is checked."""


class EndpointRefused(Exception):
    """This server cannot be asked like this; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Which server, how it proves that it is the one, and how the command proves who asks."""

    target: str
    tls: bool = False
    tls_ca: Path | None = None
    """None: the CAs that come with gRPC."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = None
    """The name that must be in the server's certificate; None: the host of the target."""
    token_file: Path | None = None
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for one call."""

    @property
    def secure(self) -> bool:
        """Whether to speak TLS: whatever is only good for it asks for it too."""
        return self.tls or any((self.tls_ca, self.tls_cert, self.tls_server_name))

    @property
    def host(self) -> str | None:
        """None if the target is not HOST:PORT, but another form that gRPC knows."""
        found = host_of(self.target)
        return found.strip("[]") if found else None

    @property
    def on_loopback(self) -> bool:
        return self.host is not None and is_loopback(self.host)

    def __post_init__(self) -> None:
        """Raises EndpointRefused."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise EndpointRefused("--tls-cert and --tls-key must be given together")
        if not 0 < self.timeout < math.inf:
            raise EndpointRefused(f"--timeout must be more than 0, not {self.timeout}")
        if self.token_file is not None and not self.secure and not self.on_loopback:
            raise EndpointRefused(
                f"the token would go to {self.target} unencrypted: give --tls-ca, or --tls"
            )
