"""Processes, told apart across machines and containers."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def pid_space() -> str:
    """Return the name of the space in which a pid means one process, fit for a file name. "" if unknown.

    A host name is not enough: two containers may share it, and each has pids of its own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
        namespace = "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))
    except OSError:
        return ""  # not Linux: the death of a process shows only by what it no longer does
    return f"{socket.gethostname()}.{boot}.{namespace}"


def process_is_gone(space: str, pid: int) -> bool:
    """Whether a process has certainly ended. Never certain for a process in another or an unknown space of pids."""
    if not space or space != pid_space():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
