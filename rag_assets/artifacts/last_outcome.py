"""The outcome of the last refresh, for `rag-assets status`, because that command does not read the history of Dagster.

One record beside the artifacts. It is deleted at the start of a refresh: a refresh that died leaves none.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rag_assets.artifacts.last_failure import FailureRecord
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json


@dataclass(frozen=True, slots=True)
class RefreshOutcome:
    """The end of a refresh, or of a step materialized alone.

    Attributes:
        outcome: a value of `rag_assets.refresh.outcome.Outcome`.
        step: name of the last asset or check.
        at: ISO 8601 in UTC.
        generation: the candidate, "" if the refresh did not get so far.
        message: the reason, "" after a success. Without secrets or document text.
    """

    outcome: str
    step: str
    run_id: str
    at: str
    generation: str = ""
    message: str = ""


def record_failure(folder: Path, outcome: str, step: str, run_id: str, message: str) -> None:
    """Record the failure of a refresh for both readers: `status` shows the step with its message, and the outcome.

    Args:
        folder: with the records of one knowledge base.
        message: without secrets or document text.
    """
    FailureRecord(folder).put(step, run_id, message)
    OutcomeRecord(folder).put(outcome, step, run_id, message=message)


class OutcomeRecord:
    """The last outcome of one knowledge base, in a file replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "last_outcome.json"

    def put(self, outcome: str, step: str, run_id: str, *, generation: str = "", message: str = "") -> None:
        """Record an outcome. If that fails, the run in Dagster still has it."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            make_private_folder(self._folder)
            write_json(self._path, asdict(RefreshOutcome(outcome, step, run_id, at, generation, message)))

    def get(self) -> RefreshOutcome | None:
        """Return the last outcome, or None if there is none or it cannot be read."""
        try:
            return RefreshOutcome(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def forget(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def forget_failure(self, step: str, run_id: str) -> None:
        """Delete a failure of this step in an earlier run. The step has succeeded in this one."""
        last = self.get()
        if last is not None and last.message and last.step == step and last.run_id != run_id:
            self.forget()
