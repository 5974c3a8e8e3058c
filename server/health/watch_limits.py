"""How many watch at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from domain.errors import Overloaded

MAX_WATCHES: Final = 4_000
"""Each takes about 24 KiB, most of it grpc's."""
MAX_PER_PEER: Final = 100
"""A client that balances has one for each connection; proxies have several clients behind one."""


class Watches:
    """Counts those that last, of all and of each peer: nobody alone may take the room of all."""

    def __init__(self, most: int = MAX_WATCHES, most_per_peer: int = MAX_PER_PEER) -> None:
        self._most = most
        self._most_per_peer = most_per_peer
        self._watching = 0
        self._of_peers: Counter[str] = Counter()

    @contextmanager
    def one_more(self, peer: str) -> Iterator[None]:
        """Count one for as long as the block lasts. Raises Overloaded if there is no room."""
        if self._watching >= self._most or self._of_peers[peer] >= self._most_per_peer:
            raise Overloaded("More watch the health of this server than may watch.")
        self._watching += 1
        self._of_peers[peer] += 1
        try:
            yield
        finally:
            self._watching -= 1
            self._of_peers[peer] -= 1
            if not self._of_peers[peer]:
                del self._of_peers[peer]
