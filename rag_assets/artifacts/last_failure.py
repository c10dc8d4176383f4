"""The last failed step, for `rag-assets status`, because that command does not read the history of Dagster.

One record beside the artifacts. It is deleted at the start of a refresh, and when the failed step succeeds. A
superseded refresh is not a failure, but several in a row are. A refresh stopped by the gate is described by its report.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json


@dataclass(frozen=True, slots=True)
class StepFailure:
    """A failed step.

    Attributes:
        step: name of the asset or the check.
        at: ISO 8601 in UTC.
        message: as in the log of the run, without secrets or document text.
    """

    step: str
    run_id: str
    at: str
    message: str


class FailureRecord:
    """The last failure of one knowledge base, in a file replaced as a whole.

    Attributes:
        folder: with the records of one knowledge base.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "last_failure.json"
        self._superseded_path = folder / "superseded.json"

    def put(self, step: str, run_id: str, message: str) -> None:
        """Record a failure. If that fails, the log of the run still has it."""
        failure = StepFailure(step, run_id, datetime.now(UTC).isoformat(timespec="seconds"), message)
        with suppress(OSError):
            make_private_folder(self.folder)
            write_json(self._path, asdict(failure))

    def get(self) -> StepFailure | None:
        """Return the last failure, or None if there is none or it cannot be read."""
        try:
            return StepFailure(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def forget(self, step: str | None = None) -> None:
        """Delete the last failure. With `step`, only a failure of this step."""
        failure = self.get()
        if failure is not None and step in (None, failure.step):
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def count_superseded(self, run_id: str) -> int:
        """Record a superseded run, and return the number of them since the last refresh that ended well."""
        runs = self._superseded_runs()
        if run_id not in runs:
            runs.append(run_id)
            with suppress(OSError):
                make_private_folder(self.folder)
                write_json(self._superseded_path, {"runs": runs})
        return len(runs)

    def forget_superseded(self) -> None:
        """Begin the count again, after a refresh that ended well."""
        with suppress(OSError):
            self._superseded_path.unlink(missing_ok=True)

    def _superseded_runs(self) -> list[str]:
        try:
            return [str(run) for run in json.loads(self._superseded_path.read_text(encoding="utf-8"))["runs"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []  # none, or not written by this program
