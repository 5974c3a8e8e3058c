"""A request body for h2load that is another one all the time.

h2load posts the same file with every request, but reads it anew each time. So the file is
overwritten in place, thousands of times a second, with one message after the other, and the
requests name ever different entities.
"""

import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# What the system adds makes that about 5,000 bodies a second, for a tenth of a core.
PAUSE_SECONDS = 100e-6


class RotatingBody:
    """While open, the file at `path` holds one of `bodies`, chosen at random.

    They must be of one length, and such that a mixture of two is valid too: a request may be read
    in the middle of a change.
    """

    def __init__(self, path: Path, bodies: Sequence[bytes], pause: float = PAUSE_SECONDS) -> None:
        if len({len(body) for body in bodies}) != 1:
            raise ValueError("the bodies differ in length")
        self.path = path
        self._bodies = bodies
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._rotate, daemon=True)

    def __enter__(self) -> Self:
        self.path.write_bytes(self._bodies[0])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _rotate(self) -> None:
        file = os.open(self.path, os.O_WRONLY)
        try:
            while not self._stopped.is_set():
                os.pwrite(file, random.choice(self._bodies), 0)
                time.sleep(self._pause)
        finally:
            os.close(file)
