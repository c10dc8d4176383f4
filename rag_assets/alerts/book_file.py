"""The file with the book of alerts. The command line and the sensor share it, so that each incident is reported once."""

import json
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rag_assets.alerts.book import Book
from rag_assets.disk.file_locks import take_lock
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json

_logger = logging.getLogger(__name__)
_unwritten: dict[Path, str] = {}
"""Books that the disk did not take. Without them, a full disk would ring every minute."""


class BusyError(Exception):
    """Another process works on the book."""


class BookFile:
    """The book of one knowledge base.

    Args:
        folder: created with the first book.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "alerts.json"

    @contextmanager
    def locked(self, deadline: float) -> Generator[Book]:
        """Yield the book, for one process at a time. It is written at the end, if it changed.

        Raises:
            BusyError: another process has not ended before the deadline, by the monotonic clock.
        """
        descriptor = self._lock_file()
        try:
            if descriptor is not None and not take_lock(descriptor, deadline):
                raise BusyError
            book = self.read()
            before = book.to_json()
            yield book
            if book.to_json() != before:
                self.write(book)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lock_file(self) -> int | None:
        try:
            make_private_folder(self._folder)
            return os.open(self._folder / "alerts.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None  # a full disk is a reason for a message, not against one

    def read(self) -> Book:
        """Return the book, an empty one if there is none or it is damaged: then incidents begin again, and nothing is repeated."""
        try:
            stored = _unwritten.get(self._path) or self._path.read_text(encoding="utf-8")
            return Book.from_json(json.loads(stored))
        except FileNotFoundError:
            return Book()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _logger.warning(
                "the book of alerts %s is unusable (%s); a new one is begun", self._path, type(error).__name__
            )
            return Book()

    def write(self, book: Book) -> None:
        stored = book.to_json()
        try:
            write_json(self._path, stored)
            _unwritten.pop(self._path, None)
        except OSError as error:
            _unwritten[self._path] = json.dumps(stored)
            _logger.warning("the book of alerts cannot be written: %s", error.strerror or error)
