"""Why the last step that failed did: for `rag-assets status`, which does not read the history of Dagster.

Here belongs one record beside the artefacts. A refresh that begins forgets it, and so does the step that failed once it
succeeds. A refresh that was superseded did not fail, and one that the gate held back is told by its report.
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
    """A step that failed.

    Attributes:
        step: name of the asset or the check.
        at: ISO 8601 in UTC.
        message: as the log of the run says it; no secret and no document text.
    """

    step: str
    run_id: str
    at: str
    message: str


class FailureRecord:
    """The last failure of one knowledge base, in a file that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "last_failure.json"

    def put(self, step: str, run_id: str, message: str) -> None:
        """Remember a failure; one that cannot be written is in the log of its run all the same."""
        failure = StepFailure(step, run_id, datetime.now(UTC).isoformat(timespec="seconds"), message)
        with suppress(OSError):
            make_private_folder(self._folder)
            write_json(self._path, asdict(failure))

    def get(self) -> StepFailure | None:
        """Return the last failure; None if there is none, or it cannot be read."""
        try:
            return StepFailure(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def forget(self, step: str | None = None) -> None:
        """Forget the last failure; only that of one step, if one is given."""
        failure = self.get()
        if failure is not None and step in (None, failure.step):
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
