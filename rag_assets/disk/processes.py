"""Processes of this machine."""

import os
import socket


def process_is_gone(host: str, pid: int) -> bool:
    """Whether a process has certainly ended. Never certain for a process on another machine."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
