"""Small disks: two tmpfs mounts, one for the tables, one for the write-ahead log."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TABLES, WAL = "tables", "wal"
SIZE = "64m"


@contextmanager
def small_disks(folder: Path) -> Iterator[dict[str, Any]]:
    """Mount both; yields what PostgreSQL has to be told."""
    if os.geteuid() != 0:
        raise SystemExit("This row mounts two small disks, which takes root.")
    mounted = []
    try:
        for name in (TABLES, WAL):
            path = folder / name
            path.mkdir(parents=True)
            options = f"size={SIZE},mode=700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "doh", path], check=True)
            mounted.append(path)
        # Small segments fill a small disk evenly; nothing of the log is recycled meanwhile.
        yield {"wal": folder / WAL / "log", "max_wal_size": "10GB", "checkpoint_timeout": "1d"}
    finally:
        for path in mounted:
            subprocess.run(["umount", "-l", path], check=True)


class Ballast:
    """A file that leaves little room on a disk, until it is dropped."""

    def __init__(self, disk: Path, left: int) -> None:
        self._path = disk / "ballast"
        stat = os.statvfs(disk)
        size = stat.f_bavail * stat.f_frsize - left
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def drop(self) -> None:
        """Make room."""
        self._path.unlink()
