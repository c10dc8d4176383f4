"""The calls of a refresh to the world outside of Python, counted, and the n-th of them made to fail.

Counted are, with a path below the folder of the test: opening, writing, renaming, syncing, removing and looking at files
and folders. Further all statements of the ledger, all calls to the engine of the embedded store, and all requests to
the embedder. They are replaced from outside: the product has no hook for this.

Out of reach: the file accesses of the engine, SQLite and Arrow in their own machine code (mapped pages, pages of a
database, bytes of a Parquet file), and a fault of the machine in the middle of a call.
"""

import contextlib
import errno
import io
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.errors import EmbedderUnavailable
from rag_assets.vector_stores.embedded import engine, reader, writer
from rag_assets_tests.histories.world import Killed, World

HANG_SECONDS = 0.02
"""How long a hanging call takes before it gives up, in place of the minutes of a real one."""
_FILE_CALLS = (
    "chmod",
    "fsync",
    "fstat",
    "listdir",
    "mkdir",
    "pread",
    "pwrite",
    "rename",
    "replace",
    "rmdir",
    "scandir",
    "stat",
    "truncate",
    "unlink",
)


@dataclass
class Calls:
    """All calls of a block, in order.

    Args:
        nth: number of the failing call, from 0. None: all succeed.
        fail: raises the error of the failing call, given its kind. It may do something else first.
        cut_short: write half of the data of a failing write.
        deadly: the failure ends the process, also if it comes in a thread of its own.
    """

    world: World
    nth: int | None = None
    fail: Callable[[str], None] = lambda kind: raise_error(kind)
    cut_short: bool = False
    deadly: bool = False
    made: list[str] = field(default_factory=list)
    failed: str | None = None
    _killed_in_thread: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def happen(self, kind: str, before_failing: Callable[[], None] | None = None) -> None:
        """Count a call, and fail it if it is the one."""
        with self._lock:
            number = len(self.made)
            self.made.append(kind)
        in_main_thread = threading.current_thread() is threading.main_thread()
        if self._killed_in_thread and in_main_thread:
            self._killed_in_thread = False
            raise Killed
        if number == self.nth and self.failed is None:
            self.failed = kind
            self._killed_in_thread = self.deadly and not in_main_thread
            if before_failing is not None and self.cut_short:
                before_failing()
            self.fail(kind)

    @contextlib.contextmanager
    def counted(self) -> Iterator["Calls"]:
        with contextlib.ExitStack() as stack:
            for name in _FILE_CALLS:
                stack.enter_context(mock.patch.object(os, name, self._file_call(name, getattr(os, name))))
            stack.enter_context(mock.patch.object(os, "open", self._file_call("os.open", os.open)))
            stack.enter_context(mock.patch.object(io, "open", self._opening(io.open)))
            stack.enter_context(mock.patch.object(sqlite3, "connect", self._connecting(sqlite3.connect)))
            for module in (writer, reader):
                stack.enter_context(
                    mock.patch.object(module, "load_shard", self._shard("load", engine.load_shard))
                )
            stack.enter_context(
                mock.patch.object(writer, "create_shard", self._shard("create", engine.create_shard))
            )
            stack.enter_context(mock.patch.object(self.world.embedder, "embed_documents", self._embedding()))
            yield self

    # Files

    def _concerns(self, target: Any) -> bool:
        try:
            if isinstance(target, int):
                target = os.readlink(f"/proc/self/fd/{target}")
            return os.fspath(target).startswith(str(self.world.home))
        except (OSError, TypeError):
            return False

    def _file_call(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any = ".", *args: Any, **kwargs: Any) -> Any:
            if not self._concerns(target) and not self._concerns(kwargs.get("dir_fd")):
                return original(target, *args, **kwargs)

            def half() -> None:
                if name == "pwrite":
                    original(target, args[0][: len(args[0]) // 2], args[1])

            self.happen(f"file {name}", half)
            return original(target, *args, **kwargs)

        return call

    def _opening(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._concerns(file):
                return original(file, *args, **kwargs)
            self.happen("file open")
            return _File(original(file, *args, **kwargs), self)

        return opening

    # Ledger, engine, embedder

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        happen = self.happen

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> Any:
                happen(f"sqlite {sql.split()[0].lower()}")
                return super().execute(sql, *args)

            def executemany(self, sql: str, *args: Any) -> Any:
                happen(f"sqlite many {sql.split()[0].lower()}")
                return super().executemany(sql, *args)

            def executescript(self, sql: str) -> Any:
                happen("sqlite script")
                return super().executescript(sql)

        def connect(database: Any, **kwargs: Any) -> Any:
            if not self._concerns(database):
                return original(database, **kwargs)
            happen("sqlite connect")
            return original(database, **kwargs, factory=Connection)

        return connect

    def _shard(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def opened(*args: Any) -> Any:
            self.happen(f"store {name}")
            return _Shard(original(*args), self)

        return opened

    def _embedding(self) -> Callable[..., EmbeddedBatch]:
        original = self.world.embedder.embed_documents

        def embed(texts: list[str]) -> EmbeddedBatch:
            self.happen("http embeddings")
            return original(texts)

        return embed


class _File:
    """An open file with counted reads and writes."""

    def __init__(self, file: Any, calls: Calls) -> None:
        self._file = file
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        self._file.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._file.__exit__(*args)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def read(self, *args: Any) -> Any:
        self._calls.happen("file read")
        return self._file.read(*args)

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._calls.happen("file write", half)
        return self._file.write(data)


class _Shard:
    """A shard of the engine with counted calls."""

    def __init__(self, shard: Any, calls: Calls) -> None:
        self._shard = shard
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        original = getattr(self._shard, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls.happen(f"store {name}")
            return original(*args, **kwargs)

        return call


def raise_error(kind: str) -> None:
    """Raise the error of this kind of call for a failed disk, file or endpoint."""
    _raise(kind, errno.EIO, "disk I/O error", sqlite3.SQLITE_IOERR)


def raise_no_space(kind: str) -> None:
    """Raise the error of a full disk."""
    _raise(kind, errno.ENOSPC, "database or disk is full", sqlite3.SQLITE_FULL)


def hang(kind: str) -> None:
    """Wait, then give up as a time limit does."""
    time.sleep(HANG_SECONDS)
    _raise(kind, errno.ETIMEDOUT, "database is locked", sqlite3.SQLITE_BUSY)


def raise_corrupt(kind: str) -> None:
    """Raise the error of a ledger file with damaged pages."""
    _raise(kind, errno.EIO, "database disk image is malformed", sqlite3.SQLITE_CORRUPT)


def _raise(kind: str, number: int, message: str, sqlite_code: int) -> None:
    family = kind.partition(" ")[0]
    if family == "sqlite":
        error = sqlite3.OperationalError(message)
        error.sqlite_errorcode = sqlite_code
        raise error
    if family == "store":
        raise RuntimeError(f"service runtime error: {os.strerror(number)}")
    if family == "http":
        raise EmbedderUnavailable(f"the endpoint did not answer: {os.strerror(number)}")
    raise OSError(number, os.strerror(number))


def copy_of_state(world: World, target: Path) -> None:
    """Copy the state folder as it is now, holes kept, with no counted call."""
    subprocess.run(["cp", "-a", "--sparse=always", str(world.state_dir), str(target)], check=True)
