"""One server a folder."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from server.embedded_postgres.programs import EmbeddedPostgresFailed


class FolderLock:
    """A lock that ends with its process, however that ends. No child inherits it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: TextIO | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def take(self) -> None:
        """Raises EmbeddedPostgresFailed, naming the process that has the lock."""
        if self.held:
            return
        file = (self._folder / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "of unknown number"
            file.close()
            message = f"{self._folder} is in use by another server, process {holder}"
            raise EmbeddedPostgresFailed(message) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
