"""Small state files: replaced atomically, made durable, refused if written by another version."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from rag_assets.disk.atomic_files import replace_file
from rag_assets.errors import DiskUnusable, StateFormatError, VectorStoreUnavailable

FORMAT_VERSION = 1

_LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors until a person frees space or fixes permissions. Others may pass: too many open files, an unreachable network
file system, a folder just removed by another process.
"""


def require_free_space(folder: Path, needed: int) -> None:
    """Raise `DiskUnusable` if too little space is free.

    When the disk is full, the engine's mapped files end the process with SIGBUS. So space is checked first.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskUnusable(
            f"the disk of {folder} has {free // 2**20} MB free, but {needed // 2**20 + 1} MB are needed: free some "
            "space, then refresh again"
        )


@contextlib.contextmanager
def disk_errors(folder: Path) -> Generator[None]:
    """Turn errors of the operating system into ours, with the folder in their message."""
    try:
        yield
    except OSError as error:
        raise disk_error(f"{folder}: {error.strerror or error} ({error.filename})", error) from error


def disk_error(message: str, error: OSError) -> DiskUnusable | VectorStoreUnavailable:
    """Return the error to raise for an error of the operating system, lasting or transient."""
    return (DiskUnusable if error.errno in _LASTING else VectorStoreUnavailable)(message)


def path_problem(path: Path) -> str:
    """Return what keeps a file of the state from being opened, with the remedy, after a colon, or ""."""
    if path.parent.exists() and not path.parent.is_dir():
        return f": {path.parent} is not a folder. Move it away, or set RAG_STATE_DIR to another folder"
    if path.is_dir():
        return ": it is a folder. Move it away and refresh, then the file is created"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return ": this user may not read and write it. Change its permissions"
    return ""


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a state file, None if it does not exist.

    Raises:
        StateFormatError: it was written by another version, or it is damaged.
        DiskUnusable, VectorStoreUnavailable: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise StateFormatError(f"{path} is damaged: materialize all assets to rebuild it") from None
    except OSError as error:
        raise disk_error(f"{path}: {error.strerror or error}", error) from error
    try:
        stored = json.loads(text)
    except ValueError:
        raise StateFormatError(
            f"{path} is damaged, it is not JSON: materialize all assets to rebuild it"
        ) from None
    version = stored.get("format_version") if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or version != FORMAT_VERSION:
        raise StateFormatError(
            f"{path} has format version {version!r}, but this version of rag-assets reads {FORMAT_VERSION}: "
            "use the version that wrote it, or materialize all assets to rebuild it"
        )
    return {str(key): value for key, value in stored.items()}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a state file atomically and durably."""
    replace_file(path, json.dumps(content, ensure_ascii=False, indent=1).encode(), durable=True)
