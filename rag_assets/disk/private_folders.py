"""Folders private to this user, because state contains document text."""

import os
from pathlib import Path

from rag_assets.errors import ConfigurationError


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, each for this user alone (mode 0700), with any umask."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def require_folder(folder: Path, setting: str) -> None:
    """Check that a path is a folder, or can become one. Nothing is created.

    Args:
        setting: environment variable with the path of the folder.

    Raises:
        ConfigurationError: the path, or a part of it, is something else.
    """
    if not next(path for path in (folder, *folder.parents) if path.exists()).is_dir():
        raise ConfigurationError(f"{setting}: {folder} cannot be used as a folder: Not a directory")


def claim_folder(folder: Path, setting: str) -> None:
    """Make a new or existing folder private.

    Args:
        setting: environment variable with the path of the folder.

    Raises:
        ConfigurationError: the folder cannot be created, or the path is not a folder.
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
