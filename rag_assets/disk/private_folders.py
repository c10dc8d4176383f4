"""Folders that only this user can look into: state holds document text."""

import os
from pathlib import Path

from rag_assets.errors import ConfigurationError


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for this user alone, whatever the umask is."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def claim_folder(folder: Path, setting: str) -> None:
    """Make a folder private, whether it is new or was there before.

    Args:
        setting: environment variable that names the folder.

    Raises:
        ConfigurationError: it cannot be made, or is no folder.
    """
    try:
        make_private_folder(folder)
        status = folder.stat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {folder} cannot be used as a folder: {error.strerror}"
        ) from None
