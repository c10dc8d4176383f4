"""The decisions of people: rollback, resume, approve, restore and purge, with who, when and why.

A file of JSON lines beside the artifacts. It only tells: the hold itself is in the vector store, an approval in the ledger.
So a file that cannot be written stops no decision.
"""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rag_assets.disk.private_folders import make_private_folder

DecisionKind = Literal["rollback", "resume", "approve", "restore", "purge", "lift"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One decision.

    Attributes:
        at: ISO 8601 in UTC.
        by: name of the person, "" if unknown.
        reason: "" if none was given.
        about: the generation taken out of service or served again, or the approved token.
    """

    decision: DecisionKind
    at: str
    by: str
    reason: str
    about: str


class DecisionLog:
    """The decisions about one knowledge base, the last one at the end of its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "decisions.jsonl"

    def record(self, decision: DecisionKind, *, by: str, reason: str, about: str) -> None:
        """Append one decision."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps(asdict(RecordedDecision(decision, at, by, reason, about)), ensure_ascii=False)
        try:
            make_private_folder(self._folder)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{line}\n".encode("utf-8", "replace"))
            finally:
                os.close(descriptor)
        except OSError as error:
            _logger.warning(
                "the %s stands, but %s could not be written: %s", decision, self._path, error.strerror
            )

    def last(self, number: int = 5) -> list[RecordedDecision]:
        """Return the last decisions, the latest first. Lines that cannot be read are left out."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        found: list[RecordedDecision] = []
        for line in reversed(lines):
            with suppress(ValueError, TypeError):
                found.append(RecordedDecision(**json.loads(line)))
            if len(found) == number:
                break
        return found
