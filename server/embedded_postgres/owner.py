"""The system user that PostgreSQL runs as, for it refuses root, and what that user may reach."""

import logging
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

ROOT: Final = 0
DEDICATED_USER: Final = "embedded_postgres"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that owns a cluster: ourselves, or another one when we are root."""

    uid: int
    gid: int

    @classmethod
    def of(cls, cluster: Path) -> Self:
        """For root: whoever owns the cluster, or the dedicated user if that is nobody or root."""
        if os.geteuid() != ROOT:
            return cls(os.geteuid(), os.getegid())
        if cluster.exists() and cluster.stat().st_uid != ROOT:
            return cls(cluster.stat().st_uid, cluster.stat().st_gid)
        user = _dedicated_user()
        return cls(user.pw_uid, user.pw_gid)

    @property
    def is_another(self) -> bool:
        return self.uid != os.geteuid()

    def take(self, path: Path) -> None:
        """Own a file, or a folder with all it contains, if it is root's."""
        if not self.is_another or path.lstat().st_uid != ROOT:
            return
        for folder, _, files in os.walk(path):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, self.uid, self.gid, follow_symlinks=False)
        os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_private_folder(self, folder: Path) -> None:
        """Make a folder that the owner alone may enter.

        Raises PermissionError if there is one that somebody else made, or may enter.
        """
        if not os.path.lexists(folder):
            folder.mkdir(mode=0o700)
        self.take(folder)
        status = folder.lstat()
        if (status.st_uid, status.st_mode) != (self.uid, stat.S_IFDIR | 0o700):
            raise PermissionError(f"{folder} must be a folder of user {self.uid} with mode 0700")

    def pass_through(self, folder: Path) -> None:
        """May pass through `folder` and those above it from now on, and read nothing there."""
        if not self.is_another:
            return
        for step in (folder, *folder.parents):
            if not self._may_enter(step):
                logger.warning(
                    "%s: others may pass through from now on (o+x), as user %d must", step, self.uid
                )
                step.chmod(step.stat().st_mode | stat.S_IXOTH)

    def read_all(self, folders: Iterable[Path]) -> None:
        """May read and execute everything in `folders` from now on."""
        for folder in folders:
            logger.warning("%s: user %d may read everything in it from now on", folder, self.uid)
            for path in (folder, *folder.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        in_group = status.st_gid == self.gid
        return bool(status.st_mode & (stat.S_IXGRP if in_group else stat.S_IXOTH))


def _dedicated_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(DEDICATED_USER)
    except KeyError:
        logger.warning("adding the system user %s: PostgreSQL does not run as root", DEDICATED_USER)
    add = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin")
    subprocess.run([*add, DEDICATED_USER], check=True)  # noqa: S603
    return pwd.getpwnam(DEDICATED_USER)
