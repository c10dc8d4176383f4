"""Mount points: folders where another file system begins."""

import os
import re
from pathlib import Path

_MOUNTS_OF_LINUX = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class MountPoints:
    """The mount points of this machine at one moment.

    A bind mount of the same file system has the device of its parent. Only the list of Linux names it.
    """

    def __init__(self) -> None:
        self._listed: set[str] = set()
        try:
            lines = os.fsdecode(_MOUNTS_OF_LINUX.read_bytes()).splitlines()
        except OSError:
            return  # not Linux
        for line in lines:
            if len(fields := line.split(" ")) > 4:
                self._listed.add(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))

    def contain(self, path: str) -> bool:
        """Return whether a folder, given without links, is a mount point. A missing one is none."""
        try:
            status, above = os.stat(path), os.stat(f"{path}/..")  # noqa: PTH116
        except OSError:
            return False
        return path in self._listed or status.st_dev != above.st_dev
