"""Where a backup is: a folder, or a prefix of an S3 bucket.

Files are private to this user. A file is finished before the next one begins, and the index comes last.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.durability import fsync_tree
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.errors import BackupUnavailable, BackupUnusable, ConfigurationError, RefusedError

_S3 = "s3://"
_TIMEOUT_SECONDS = 60.0


class BackupPlace(Protocol):
    """The files of one backup, by names with forward slashes.

    Attributes:
        name: for people.
    """

    name: str

    def names(self) -> set[str]:
        """Return the names of all files."""
        ...

    def require_empty(self) -> None:
        """Raises: RefusedError: there are files."""
        ...

    def begin(self, name: str) -> Path:
        """Create an empty private file on this machine, to be written."""
        ...

    def finish(self, name: str) -> None:
        """Put a written file in its place."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file in one step, durably."""
        ...

    def make_durable(self) -> None: ...

    def remove(self, name: str) -> None: ...

    def get(self, name: str) -> Path:
        """Return the path of a copy on this machine."""
        ...

    def close(self) -> None: ...


@contextmanager
def backup_place(target: str) -> Generator[BackupPlace]:
    """Open a folder, or a prefix as `s3://bucket/prefix`.

    Raises:
        ConfigurationError: it is neither.
    """
    if target.lower().startswith(_S3):
        place: BackupPlace = _S3Prefix(target)
    else:
        place = _Folder(Path(os.path.expanduser(target)).absolute())  # noqa: PTH111 - Path.expanduser may raise
    try:
        yield place
    finally:
        place.close()


def _create(path: Path) -> Path:
    make_private_folder(path.parent)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path


class _Folder:
    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self._root = root

    def names(self) -> set[str]:
        if not self._root.is_dir():
            raise BackupUnusable(f"there is no folder {self._root}")
        # Links too: nothing of a backup is one.
        return {
            path.relative_to(self._root).as_posix()
            for path in self._root.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }

    def require_empty(self) -> None:
        if self._root.exists() and not self._root.is_dir():
            raise RefusedError(f"{self._root} is not a folder: name a new or an empty one")
        if self._root.is_dir() and any(self._root.iterdir()):
            raise RefusedError(
                f"{self._root} is not empty: name a new folder for each backup, such as one with the date"
            )
        make_private_folder(self._root)
        self._root.chmod(0o700)

    def begin(self, name: str) -> Path:
        return _create(self._root / name)

    def finish(self, name: str) -> None:
        """Do nothing: it was written in its place."""

    def put(self, name: str, data: bytes) -> None:
        make_private_folder((self._root / name).parent)
        replace_file(self._root / name, data, durable=True)

    def make_durable(self) -> None:
        fsync_tree(self._root)

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def get(self, name: str) -> Path:
        return self._root / name

    def close(self) -> None:
        """Do nothing."""


class _S3Prefix:
    def __init__(self, target: str) -> None:
        bucket, _, prefix = target[len(_S3) :].partition("/")
        if not bucket:
            raise ConfigurationError(f"{target!r} names no bucket: use s3://bucket/prefix")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.name = f"{_S3}{bucket}/{self._prefix}"
        self._client = _client()
        self._scratch = Path(tempfile.mkdtemp(prefix="rag-assets-backup-"))  # mode 0700

    def names(self) -> set[str]:
        found: set[str] = set()
        with _in_our_words(self.name):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                found |= {one["Key"].removeprefix(self._prefix) for one in page.get("Contents", ())}
        return found - {""}  # the empty object that a console makes for a folder

    def require_empty(self) -> None:
        if self.names():
            raise RefusedError(
                f"{self.name} is not empty: name a new prefix for each backup, such as one with the date"
            )

    def begin(self, name: str) -> Path:
        return _create(self._scratch / name)

    def finish(self, name: str) -> None:
        with _in_our_words(self.name):
            self._client.upload_file(str(self._scratch / name), self._bucket, self._prefix + name)
        (self._scratch / name).unlink()

    def put(self, name: str, data: bytes) -> None:
        with _in_our_words(self.name):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def make_durable(self) -> None:
        """Do nothing: the service has answered."""

    def remove(self, name: str) -> None:
        (self._scratch / name).unlink(missing_ok=True)
        with _in_our_words(self.name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def get(self, name: str) -> Path:
        path = self._scratch / name
        if not path.exists():
            _create(path)
            with _in_our_words(self.name):
                self._client.download_file(self._bucket, self._prefix + name, str(path))
        return path

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


def _client() -> Any:
    from importlib.util import find_spec

    if find_spec("boto3") is None:
        raise ConfigurationError("a backup on S3 needs boto3: run `pip install 'rag-assets[s3]'`")
    from rag_assets.aws.client import build_client
    from rag_assets.aws.errors import KEEPING_A_BACKUP, aws_errors, in_words

    try:
        return build_client(
            "s3", endpoint_url=None, region=None, timeout_seconds=_TIMEOUT_SECONDS, connections=10
        )
    except aws_errors() as error:
        raise ConfigurationError(f"S3 cannot be used: {in_words(error, KEEPING_A_BACKUP)}") from None


@contextmanager
def _in_our_words(place: str) -> Generator[None]:
    from boto3.exceptions import S3TransferFailedError, S3UploadFailedError

    from rag_assets.aws.errors import KEEPING_A_BACKUP, aws_errors, in_words

    try:
        yield
    except (S3UploadFailedError, S3TransferFailedError) as error:
        inner = error.__context__ if isinstance(error.__context__, Exception) else error
        raise BackupUnavailable(f"{place}: {in_words(inner, KEEPING_A_BACKUP)}") from None
    except aws_errors() as error:
        raise BackupUnavailable(f"{place}: {in_words(error, KEEPING_A_BACKUP)}") from None
