"""Notes about runs under way: one small file each, for the case of a sudden death.

Written step by step, because with one process per step none sees the whole run.
"""

import json
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.processes import pid_space, process_is_gone
from rag_assets.tracking.records import now

_ABANDONED_AFTER_SECONDS = 86_400.0
_ENDED = ".ended"


@dataclass(slots=True)
class StepNote:
    """One step: its numbers and its duration. None while it runs, or if it died."""

    started_at: str
    duration_seconds: float | None = None
    numbers: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class RunNote:
    """The known facts about a run.

    Attributes:
        takes_lease: whether it began as a refresh, with the lease. Of two such runs one waits for the other.
        pid, pid_space: of the last process.
        changed_at: seconds since the epoch.
    """

    run_id: str
    started_at: str
    takes_lease: bool = False
    pid: int = 0
    pid_space: str = ""
    changed_at: float = 0.0
    steps: dict[str, StepNote] = field(default_factory=dict[str, StepNote])

    def is_dead(self, *, lease_is_ours: bool) -> bool:
        """Whether the run has surely ended. A step may follow in another process."""
        if self.takes_lease and lease_is_ours:
            return True
        is_old = abs(time.time() - self.changed_at) > _ABANDONED_AFTER_SECONDS
        return is_old or process_is_gone(self.pid_space, self.pid)


class RunNotes:
    """The notes of one knowledge base. Losing one loses numbers, never a refresh: errors of the disk are passed over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin_step(self, run_id: str, step: str, *, pid: int, takes_lease: bool) -> None:
        """Note the begin of a step, and with the first one the begin of the run. A retried step begins again."""
        note = self.get(run_id) or RunNote(run_id, now())
        note.pid, note.pid_space = pid, pid_space()
        note.takes_lease = note.takes_lease or takes_lease
        note.steps[step] = StepNote(now())
        self._put(note)

    def end_step(self, run_id: str, step: str, duration_seconds: float) -> None:
        note = self.get(run_id)
        if note is not None and step in note.steps:
            note.steps[step].duration_seconds = duration_seconds
            self._put(note)

    def add_numbers(self, run_id: str, step: str, numbers: Mapping[str, Any]) -> None:
        note = self.get(run_id)
        if note is not None and step in note.steps:
            note.steps[step].numbers |= numbers
            self._put(note)

    def get(self, run_id: str) -> RunNote | None:
        """Return a note, or None if there is none or it cannot be read."""
        try:
            stored: dict[str, Any] = json.loads(self._path(run_id).read_text(encoding="utf-8"))
            steps = {step: StepNote(**found) for step, found in stored.pop("steps").items()}
            return RunNote(**stored, steps=steps)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def all(self) -> list[RunNote]:
        """Return the readable notes, the oldest first."""
        found = filter(None, (self.get(path.stem) for path in self._folder.glob("[!.]*.json")))
        return sorted(found, key=lambda note: note.started_at)

    def end(self, run_id: str) -> None:
        """Put the note of a recorded run aside, until its spending is forgotten: it is not open, and not dead."""
        with suppress(OSError):
            self._path(run_id).rename(self._path(run_id, _ENDED))

    def ended(self) -> list[str]:
        """Return the runs put aside."""
        return sorted(path.stem for path in self._folder.glob(f"[!.]*{_ENDED}"))

    def forget_ended(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            with suppress(OSError):
                self._path(run_id, _ENDED).unlink(missing_ok=True)

    def _put(self, note: RunNote) -> None:
        note.changed_at = time.time()
        with suppress(OSError):
            make_private_folder(self._folder)
            replace_file(self._path(note.run_id), json.dumps(asdict(note)).encode())

    def _path(self, run_id: str, suffix: str = ".json") -> Path:
        return self._folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', run_id)}{suffix}"
