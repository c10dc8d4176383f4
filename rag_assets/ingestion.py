"""Sources -> documents: list everything, read what may have changed, parse what did.

A document whose version token stands still costs one look-up. One whose token moved is read and hashed; only
bytes that this parser has not seen are parsed. One that cannot be used is quarantined and harms only itself.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rag_assets.batches import batched
from rag_assets.change_set import DocumentState
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.parsers import parse_document, parser_for
from rag_assets.progress import Progress
from rag_assets.records import SourceEntry
from rag_assets.sources.base import Source
from rag_assets.text_store import TextStore

_logger = logging.getLogger(__name__)
_BATCH = 256
_RACY_SECONDS = 2.0


@dataclass(slots=True)
class SourceReport:
    """What one source gave in one refresh.

    Attributes:
        problem: why its listing is not complete; "" if it is.
        num_read: documents whose bytes were read, because their version token moved.
        num_parsed: documents whose bytes no parse was known of.
    """

    source: str
    problem: str = ""
    num_listed: int = 0
    num_read: int = 0
    num_parsed: int = 0
    num_quarantined: int = 0

    @property
    def complete(self) -> bool:
        return not self.problem


class Ingestion:
    """One reading of all sources. `reports` is filled in while `documents` is consumed."""

    def __init__(self, sources: Sequence[Source], ledger: Ledger, text_store: TextStore) -> None:
        self._sources = sources
        self._ledger = ledger
        self._text_store = text_store
        self.reports = [SourceReport(source.name) for source in sources]
        self._listing = hashlib.sha256()

    @property
    def listing_hash(self) -> str:
        """Hash of the identities and version tokens listed so far."""
        return self._listing.hexdigest()

    def hash_listing(self) -> str:
        """List every source without reading anything; equal to `listing_hash` after an unchanged reading.

        Raises:
            SourceUnavailable: a listing is not complete.
        """
        for source in self._sources:
            for entry in source.list_entries():
                self._note(entry)
        return self.listing_hash

    def _note(self, entry: SourceEntry) -> None:
        self._listing.update(f"{entry.document_id}\n{entry.version_token}\n".encode())

    def documents(self) -> Iterator[DocumentState]:
        """Yield every document that a source lists, quarantined ones included.

        A source that fails ends its own listing and is reported as incomplete; the others go on.
        """
        # Everything is listed before anything is read: only then is it known how much there is to do.
        listings = [
            self._listing_of(source, report)
            for source, report in zip(self._sources, self.reports, strict=True)
        ]
        progress = Progress("documents", sum(map(len, listings)))
        for source, report, listing in zip(self._sources, self.reports, listings, strict=True):
            try:
                for entries in batched(listing, _BATCH):
                    yield from progress.over(self._read_batch(source, entries, report))
            except SourceUnavailable as error:
                self._incomplete(report, error)

    def _listing_of(self, source: Source, report: SourceReport) -> list[SourceEntry]:
        """Return what a source lists; if it fails, what it listed until then."""
        entries: list[SourceEntry] = []
        try:
            entries.extend(source.list_entries())  # keeps what came before an error
        except SourceUnavailable as error:
            self._incomplete(report, error)
        return entries

    def _incomplete(self, report: SourceReport, error: SourceUnavailable) -> None:
        report.problem = str(error)
        _logger.warning("source %s is incomplete, nothing of it is deleted: %s", report.source, error)

    def _read_batch(
        self, source: Source, entries: Sequence[SourceEntry], report: SourceReport
    ) -> Iterator[DocumentState]:
        known = self._ledger.parses([entry.uri for entry in entries])
        fresh: list[ParseRecord] = []
        for entry in entries:
            report.num_listed += 1
            self._note(entry)
            record = known.get(entry.uri)
            if (
                record is None
                or record.version_token != entry.version_token
                or not self._usable(record, entry)
            ):
                record = self._read(source, entry, report, fresh)
                if record.raw_hash:
                    fresh.append(record)
            if record.content_hash is None:
                report.num_quarantined += 1
            yield _state(entry, record)
        if fresh:
            self._ledger.put_parses(fresh)

    def _usable(self, record: ParseRecord, entry: SourceEntry) -> bool:
        """A parse counts while its parser is the same and its text is still there."""
        parser = parser_for(entry.filename)
        if parser is None or (record.parser, record.parser_version) != (parser.name, parser.version):
            return False
        return record.content_hash is None or self._text_store.has(record.content_hash)

    def _read(
        self, source: Source, entry: SourceEntry, report: SourceReport, fresh: Sequence[ParseRecord]
    ) -> ParseRecord:
        parser = parser_for(entry.filename)
        parser_key = (parser.name, parser.version) if parser else ("", "")
        report.num_read += 1
        try:
            data = source.read(entry)
        except DocumentUnreadable as error:
            # No hash: this is looked at again every time, it may be a matter of permissions.
            return ParseRecord(entry.uri, "", "", *parser_key, None, "", error.reason, error.detail)
        raw_hash = hashlib.sha256(data).hexdigest()
        token = "" if _is_racy(entry) else entry.version_token
        same = self._ledger.parse_of_bytes(raw_hash, *parser_key)
        if same is None:  # a copy in the same batch is not in the ledger yet
            key = (raw_hash, *parser_key)
            same = next((it for it in fresh if (it.raw_hash, it.parser, it.parser_version) == key), None)
        if same is not None and self._usable(same, entry):
            return ParseRecord(
                entry.uri,
                token,
                raw_hash,
                *parser_key,
                same.content_hash,
                same.title,
                same.quarantine_reason,
                same.quarantine_detail,
            )
        report.num_parsed += 1
        try:
            parsed = parse_document(data, entry.filename)
        except DocumentUnreadable as error:
            return ParseRecord(entry.uri, token, raw_hash, *parser_key, None, "", error.reason, error.detail)
        content_hash = self._text_store.put(parsed.text)
        return ParseRecord(entry.uri, token, raw_hash, *parser_key, content_hash, parsed.title)


def _is_racy(entry: SourceEntry) -> bool:
    """A document written just now may be written again within the same tick of its version token.

    Such a token is not trusted the next time (as git does); the bytes are hashed again then.
    """
    if entry.modified_at is None:
        return False
    return time.time() - datetime.fromisoformat(entry.modified_at).timestamp() < _RACY_SECONDS


def _state(entry: SourceEntry, record: ParseRecord) -> DocumentState:
    return DocumentState(
        location=entry.location(record.title),
        content_hash=record.content_hash,
        quarantine_reason=record.quarantine_reason,
        quarantine_detail=record.quarantine_detail,
    )


def require_a_readable_source(reports: Iterable[SourceReport]) -> None:
    """Raises: SourceUnavailable: nothing at all could be listed, because of problems."""
    reports = list(reports)
    problems = unreadable_sources(reports)
    if problems and not any(report.num_listed for report in reports):
        raise SourceUnavailable(
            f"no source could be read, nothing was changed: {'; '.join(problems.values())}"
        )


def unreadable_sources(reports: Iterable[SourceReport]) -> dict[str, str]:
    """Return source -> problem of those whose listing is not complete."""
    return {report.source: report.problem for report in reports if not report.complete}
