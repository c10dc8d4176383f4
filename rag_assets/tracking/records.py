"""The records for the tables: rows by table, complete for one run or one decision.

Plain data: a record waits as JSON for the database. No document text: no title, no heading, no
snippet, no metadata of documents. The questions are those of the benchmark.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from rag_assets.text.forgotten_names import FORGOTTEN, forgetting

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Table -> rows. Names and columns as in `rag_assets.tracking.tables`, without the knowledge base."""

FORMAT_VERSION = 1
_CONTENT_HASH = re.compile("[0-9a-f]{64}")
DIED, PARTIAL = "died", "partial"
"""Outcomes of the tables beside those of `rag_assets.refresh.outcome`: the process of the run ended without a word, and
single assets were materialized without an error."""
SUCCESSES = ("live", "unchanged", "held")
INCIDENTS = ("blocked", "refused", "failed", DIED)
"""Outcomes with a row in `rag_incidents`. A person has to act, or to look."""

_REFRESHES, _QUESTIONS = "rag_refreshes", "rag_evaluation_questions"
_LISTS = ("expected_documents", "retrieved_documents", "missing_documents")
_TEXTS = ("reason", "verdict", "problem", "problems", "notes")


@dataclass(frozen=True, slots=True)
class Record:
    """All rows of one run or one decision. Delivered twice, it is the same as delivered once.

    Attributes:
        kind: `forget` has no rows. It removes a document, see `rag_assets.tracking.database`.
        id: of the run or the decision. A later record with this id replaces an earlier one.
        at: ISO 8601 in UTC.
        forgotten: for `forget`: document id, then its other names and the hashes of contents without another document.
        parameters: settings of the run, for MLflow. The tables do not have them.
    """

    kind: Literal["run", "decision", "forget"]
    id: str
    at: str
    rows: Rows
    forgotten: tuple[str, ...] = ()
    parameters: Row = field(default_factory=dict[str, Any])

    @property
    def forgotten_names(self) -> frozenset[str]:
        """All names of the document to forget."""
        document_id = self.forgotten[0]
        others = (one for one in self.forgotten[1:] if not _CONTENT_HASH.fullmatch(one))
        return frozenset(map(storable, (document_id, document_id.partition(":")[2], *others))) - {""}

    @property
    def forgotten_contents(self) -> list[str]:
        return [one for one in self.forgotten[1:] if _CONTENT_HASH.fullmatch(one)]

    @property
    def outcome(self) -> str:
        """Of a run, else ""."""
        return str(next((row["outcome"] for row in self.rows.get(_REFRESHES, ())), ""))

    def to_json(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "id": self.id,
            "at": self.at,
            "rows": self.rows,
            "forgotten": list(self.forgotten),
            "parameters": self.parameters,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Record":
        """Raises ValueError, KeyError, TypeError, AttributeError for anything else."""
        if stored["format_version"] != FORMAT_VERSION:
            raise ValueError("written by another version")
        rows = {str(table): [dict(row) for row in found] for table, found in stored["rows"].items()}
        parameters = dict(stored.get("parameters", {}))  # records of an earlier version have none
        return cls(stored["kind"], stored["id"], stored["at"], rows, tuple(stored["forgotten"]), parameters)


def now() -> str:
    """Return the time as ISO 8601 in UTC, with microseconds: records of one second keep their order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def without_document(record: Record, names: Collection[str]) -> Record:
    """Return the record without a purged document: without its names in lists and in reasons."""
    names = frozenset(map(storable, names))
    return replace(
        record,
        rows={table: [_scrubbed(row, names) for row in rows] for table, rows in record.rows.items()},
    )


def _scrubbed(row: Row, names: frozenset[str]) -> Row:
    found, forget = dict(row), forgetting(names)
    for column in _LISTS:
        if column in row:
            found[column] = without_ids(row[column], lambda name: name in names)
    for column in _TEXTS:
        if row.get(column):
            found[column] = forget(str(row[column]))
    return found


def without_ids(names: list[str], is_forgotten: Callable[[str], bool]) -> list[str]:
    return [FORGOTTEN if is_forgotten(name) else name for name in names]


def storable(value: Any) -> Any:
    """Return a value with texts for any database: no NUL, no halves of a surrogate pair.

    Each of them becomes its escape, and two names stay two names.
    """
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:  # most are
            return value
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    if isinstance(value, dict):
        return {str(key): storable(one) for key, one in value.items()}
    return value
