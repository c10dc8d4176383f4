"""A folder that one process cannot write to, whoever runs it: mounted read-only in a mount namespace of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_PROGRAM = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def with_read_only(folder: Path, *command: str) -> list[str]:
    """Return a command line to run a command with this folder read-only. Skip the test where that is impossible."""
    line = ["unshare", "-rm", "sh", "-c", _PROGRAM, str(folder)]
    tried = (
        subprocess.run([*line, "true"], capture_output=True, text=True) if shutil.which("unshare") else None
    )
    if tried is None or tried.returncode != 0:
        message = f"no mount namespace: {tried.stderr.strip() if tried else 'unshare is not installed'}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return [*line, *command]
