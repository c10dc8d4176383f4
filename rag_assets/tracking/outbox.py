"""Records not delivered yet: one file each, in order, and a note about the delay.

The tables and MLflow have one each. A server can be away for weeks. At most 500 records wait. Then the oldest is dropped,
counted and shown, because the receiver lacks it from then on.
"""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag_assets.disk.file_locks import take_lock
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json
from rag_assets.text.wording import counted
from rag_assets.tracking.records import Record, now, storable

MAX_WAITING = 500
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lag:
    """Why a receiver lags behind.

    Attributes:
        since: of the first failed delivery, ISO 8601 in UTC.
        problem: a clause, without secrets.
        num_waiting: number of waiting records.
        num_dropped: number of lost records, since the last complete delivery.
    """

    since: str
    problem: str
    num_waiting: int = 0
    num_dropped: int = 0

    def in_words(self, receiver: str) -> str:
        """Return the delay as a sentence.

        Args:
            receiver: with its verb, such as `the metadata tables lag`.
        """
        if self.num_waiting:
            waiting = (
                f"{counted(self.num_waiting, 'record')} {'waits' if self.num_waiting == 1 else 'wait'}, and "
            )
            waiting += "the next refresh sends " + ("it" if self.num_waiting == 1 else "them")
        else:  # all that is missing are documents and chunks
            waiting = "The next refresh completes them"
        dropped = f" ({counted(self.num_dropped, 'record')} dropped)" if self.num_dropped else ""
        return f"{receiver} since {self.since}: {self.problem}. {waiting}{dropped}"


class BusyError(Exception):
    """Another process delivers."""


class Outbox:
    """The waiting records of one knowledge base for one receiver.

    Args:
        folder: created with the first record.
        receiver: its name in warnings.
    """

    def __init__(self, folder: Path, receiver: str = "the metadata tables") -> None:
        self.folder = folder
        self._receiver = receiver
        self._waiting = folder / "waiting"
        self._lag_path = folder / "lag.json"

    def put(self, record: Record) -> None:
        """Keep a record durably until it is removed.

        Raises:
            OSError: the disk does not take it.
        """
        make_private_folder(self._waiting)
        paths = self._paths()
        number = 1 + max((_number_of(path) for path in paths), default=0)
        identity = re.sub(r"[^A-Za-z0-9_-]", "_", record.id)[:60]
        write_json(self._waiting / f"{number:010d}-{identity}.json", storable(record.to_json()))
        for path in paths[: max(0, len(paths) + 1 - MAX_WAITING)]:
            path.unlink(missing_ok=True)
            self._count_dropped()
            _logger.warning(
                "too many records wait for %s (%d): the oldest is dropped and will be missing there",
                self._receiver,
                MAX_WAITING,
            )

    def waiting(self) -> list[tuple[Path, Record]]:
        """Return the records in order. An unreadable one is set aside."""
        found: list[tuple[Path, Record]] = []
        for path in self._paths():
            try:
                found.append((path, Record.from_json(json.loads(path.read_text(encoding="utf-8")))))
            except FileNotFoundError:
                continue  # delivered by another process
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self.set_aside(path, type(error).__name__)
        return found

    def set_aside(self, path: Path, problem: str) -> None:
        """Move an unusable record out of the way of the others. It counts as dropped."""
        with suppress(OSError):
            path.rename(path.with_suffix(".unusable"))
        self._count_dropped()
        _logger.warning(
            "the record %s for %s is unusable (%s), and is set aside", path, self._receiver, problem
        )

    def remove_unusable(self) -> None:
        """Remove the records set aside: they may name any document, and cannot be searched."""
        for path in self._waiting.glob("*.unusable"):
            path.unlink(missing_ok=True)

    def replace_each(self, change: Callable[[Record], Record]) -> None:
        """Change the waiting records."""
        for path, record in self.waiting():
            if (changed := change(record)) != record:
                write_json(path, storable(changed.to_json()))

    @property
    def num_waiting(self) -> int:
        return len(self._paths())

    def _paths(self) -> list[Path]:
        return sorted(self._waiting.glob("[0-9]*.json"))

    @contextmanager
    def delivering(self, deadline: float) -> Generator[None]:
        """Let one process deliver at a time: two could put an older record of a run over a newer one.

        Raises:
            BusyError: another process has not ended before the deadline, by the monotonic clock.
        """
        with self.open_lock() as descriptor:
            if not take_lock(descriptor, deadline):
                raise BusyError
            yield

    @contextmanager
    def open_lock(self) -> Generator[int]:
        """Open the file of the lock. Yields its descriptor."""
        make_private_folder(self.folder)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    # The delay, for people

    def lag(self) -> Lag | None:
        """Return the delay, or None if the receiver is complete, or soon will be."""
        noted, waiting = self._noted(), self._paths()
        if noted is not None:
            return replace(noted, num_waiting=len(waiting))
        if not waiting or self._is_delivering():
            return None
        with suppress(OSError, ValueError, KeyError, TypeError):
            first: dict[str, Any] = json.loads(waiting[0].read_text(encoding="utf-8"))
            return Lag(str(first["at"]), "not delivered yet", len(waiting))
        return Lag(now(), "not delivered yet", len(waiting))

    def _is_delivering(self) -> bool:
        with suppress(OSError), self.open_lock() as descriptor:  # a folder of another user
            return not take_lock(descriptor, 0)
        return False

    @property
    def seconds_since_problem(self) -> float:
        """Since the last failed delivery. Infinite if it succeeded, or never ended."""
        try:
            return time.time() - self._lag_path.stat().st_mtime
        except OSError:
            return math.inf

    def note_problem(self, problem: str) -> Lag:
        """Remember a failed delivery. The first one counts for the time."""
        noted = self._noted()
        lag = Lag(
            noted.since if noted else now(), problem, self.num_waiting, noted.num_dropped if noted else 0
        )
        with suppress(OSError):
            make_private_folder(self.folder)
            write_json(self._lag_path, asdict(lag))
        return lag

    def forget_problem(self) -> None:
        with suppress(OSError):
            self._lag_path.unlink(missing_ok=True)

    def _noted(self) -> Lag | None:
        try:
            return Lag(**json.loads(self._lag_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _count_dropped(self) -> None:
        lag = self._noted() or Lag(now(), "not delivered yet")
        with suppress(OSError):
            write_json(self._lag_path, asdict(replace(lag, num_dropped=lag.num_dropped + 1)))


def _number_of(path: Path) -> int:
    return int(path.name.partition("-")[0])
