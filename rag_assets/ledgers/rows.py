"""Records as rows with checksums, the same in every ledger, and the count of those that do not fit.

A checksum is a CRC-32 over all columns with a meaning, keys included. It guards against damage: a torn write, a disk
that returns other bytes, an edit by hand. It does not guard against an attacker: a writer of the ledger can write the
checksum too. A cryptographic hash would take several times as long and prove no more.
"""

import json
import logging
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rag_assets.document_metadata.values import Metadata
from rag_assets.ledgers.base import ParseRecord, Spending
from rag_assets.records import DocumentState, Location, Refusal, Vector
from rag_assets.text.wording import counted

_logger = logging.getLogger(__name__)
_PARSE_COLUMNS = 9
_CHECKSUM, _METADATA = 10, 11
"""Places in a whole row of a parse."""


class Misfits:
    """Counts the rows that do not fit their checksums, and logs them.

    Args:
        ledger: its file or server, for the log.
        remedy: for a person who reads of them again and again.
    """

    def __init__(self, ledger: str, remedy: str) -> None:
        self._ledger = ledger
        self._remedy = remedy
        self._found: Counter[str] = Counter()
        self._named: Counter[str] = Counter()

    def count(self, kind: str, number: int) -> None:
        """Log the first rows of a kind at once. `log_rest` logs the final number."""
        self._found[kind] += number
        if number and not self._named[kind]:
            self._log(kind)

    def log_rest(self) -> None:
        for kind, number in self._found.items():
            if number > self._named[kind]:
                self._log(kind)

    def _log(self, kind: str) -> None:
        self._named[kind] = self._found[kind]
        _logger.warning(
            "ledger %s: %s did not fit the checksum, so the work is done again. %s if this repeats",
            self._ledger,
            counted(self._found[kind], f"remembered {kind}"),
            self._remedy,
        )


def parse_row(record: ParseRecord, used_at: float) -> tuple[Any, ...]:
    """Return the whole row of a parse."""
    columns = (
        record.source_uri,
        record.version_token,
        record.raw_hash,
        record.parser,
        record.parser_version,
        record.content_hash,
        record.title,
        record.quarantine_reason,
        record.quarantine_detail,
    )
    sayings = (record.metadata, record.reading_metadata)
    metadata = None
    if any(said.pairs or said.left_out for said in sayings):
        metadata = json.dumps([[said.to_json(), said.left_out] for said in sayings])
    checksum = checksum_of_parse((*columns, used_at, None, metadata))
    return (*columns, used_at, checksum, metadata)


def parse_of(row: Sequence[Any]) -> ParseRecord | None:
    """Return the parse of a whole row, or None if the checksum does not fit."""
    try:
        if checksum_in(row) not in (None, checksum_of_parse(row)):
            return None
        stored = _metadata_in(row)
        said = [_metadata_of(*one) for one in json.loads(stored)] if stored else []
        return ParseRecord(*row[:_PARSE_COLUMNS], *said)
    except (TypeError, ValueError, AttributeError):  # a value of another type
        return None


def checksum_in(row: Sequence[Any]) -> int | None:
    """Return the checksum of a whole row of a parse. A file of an earlier version has no such column."""
    return row[_CHECKSUM] if len(row) > _CHECKSUM else None


def _metadata_in(row: Sequence[Any]) -> str | None:
    """Return the metadata in a whole row of a parse. None for no metadata, and in a row of an earlier version."""
    return row[_METADATA] if len(row) > _METADATA else None


def _metadata_of(values: dict[str, Any], left_out: list[str]) -> Metadata:
    return Metadata.of(Metadata.from_json(values), tuple(left_out))


def checksum_of_parse(row: Sequence[Any]) -> int:
    columns = row[:_PARSE_COLUMNS]
    if columns[5] is None:
        columns = (*columns[:5], "\1", *columns[6:])
    if metadata := _metadata_in(row):
        columns = (*columns, metadata)
    return zlib.crc32("\0".join(columns).encode())


def checksum_of_bytes(key: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key))


def bytes_of(key: bytes, value: object, checksum: int | None) -> bytes | None:
    """Return the value of a row, or None if the checksum does not fit."""
    if not isinstance(value, bytes) or checksum not in (None, checksum_of_bytes(key, value)):
        return None
    return value


def vector_of_bytes(value: bytes | None) -> Vector | None:
    """Return the vector, or None if the length fits none."""
    if not value or len(value) % 4:
        return None
    return np.frombuffer(value, dtype="<f4").astype(np.float32)


def document_row(state: DocumentState) -> tuple[str, str | None, str]:
    """Return document id, content hash and location, as stored."""
    return (state.document_id, state.content_hash, json.dumps(state.location.to_payload()))


def checksum_of_documents(rows: Iterable[Sequence[Any]]) -> int:
    """Return the checksum over all document rows of a generation, in any order."""
    return sum(zlib.crc32("\0".join(map(str, row)).encode()) for row in rows) % 2**32


def documents_of(rows: Sequence[Sequence[Any]], checksum: int | None) -> list[DocumentState] | None:
    """Return the documents of the rows of a generation, or None if they do not fit, or come from another program."""
    if checksum not in (None, checksum_of_documents(rows)):
        return None
    try:
        return [
            DocumentState(Location.from_payload(json.loads(location)), content)
            for _, content, location in rows
        ]
    except (ValueError, KeyError, TypeError):
        return None


def refusal_of(stored: str) -> Refusal | None:
    """Return a refusal, or None if it was written by another version or is damaged."""
    try:
        fields: dict[str, Any] = json.loads(stored)
        for name in ("sources", "examples"):
            fields[name] = tuple(fields[name])
        return Refusal(**fields)
    except (ValueError, KeyError, TypeError):
        return None


def spending_of(rows: Iterable[Sequence[Any]]) -> dict[str, list[Spending]]:
    """Return run -> spending, of rows sorted by run, purpose and model."""
    found: dict[str, list[Spending]] = {}
    for run_id, *values in rows:
        found.setdefault(run_id, []).append(Spending(*values))
    return found
