"""Sources -> documents: list everything, read possible changes, parse actual changes.

A document with an unchanged version token costs one look-up. With a new token it is read and hashed, and parsed only if
this parser has not parsed the same bytes before. An unusable document is quarantined and affects only itself.
A document for a model that is not set is left out, unless it is already in production: removing a setting deletes
nothing. A source that is down or hangs ends only its own listing.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from time import sleep

from rag_assets.backports import batched
from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.errors import DocumentGone, DocumentUnreadable, RagAssetsError, SourceUnavailable
from rag_assets.ingestion.listings import Listing, ListingHash, list_sources
from rag_assets.ingestion.media_models import MediaModels
from rag_assets.ingestion.outage_search import OutageSearch
from rag_assets.ingestion.parsing import Parse, Parsing, wait_for_first
from rag_assets.ingestion.source_reports import (
    SourceReport,
    files_left_out,
    metadata_left_out,
    metadata_left_out_text,
    skipped_files,
    skipped_text,
    without_name,
)
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.registry import asks_by_name
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, SourceEntry
from rag_assets.sources.base import (
    UNSETTLED_SECONDS,
    CountsLeftOut,
    Reading,
    Source,
)
from rag_assets.text.store import TextStore
from rag_assets.text.wording import counted

_logger = logging.getLogger(__name__)
_BATCH = 256
_MOST_BYTES_AHEAD = 256 * 1024 * 1024
_MOST_LOOKS = 2
_DOCUMENTS_AHEAD = 8
"""Per worker. Enough to keep the others busy during a long document."""


@dataclass(slots=True)
class _Document:
    """A listed document on its way through the stages.

    Attributes:
        record: result of its parse, or None until it is known.
        reading: its bytes, if it was read.
        parse: running parse of these bytes. None again when the result is in the record.
        was_read: whether it was read in this refresh, or could not be read.
        is_moving: whether it is still being written.
    """

    entry: SourceEntry
    record: ParseRecord | None
    reading: Reading | None = None
    parse: Parse | None = None
    was_read: bool = False
    is_moving: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.reading.data) if self.reading else 0

    @property
    def would_be_asked_about(self) -> bool:
        """Whether this is a dry run, and a refresh would send the document to a model."""
        return self.parse is not None and self.parse.outcome is None


_Read = Callable[[_Document], _Document | None]


class Ingestion:
    """One reading of all sources. `reports` and `media.usage` are filled in while `documents` is consumed.

    Args:
        media: closed after the last document.
        served: returns the documents in production by id. Called at most once.
        approved_tokens: tokens approved by a person.
        known_mounts: `mounts` of the last reading: source -> mount point -> prefix of the paths below it.
        metadata_policy: for the metadata of documents and sources.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        ledger: Ledger,
        text_store: TextStore,
        parse_workers: Callable[[], ParseWorkers] = ParseWorkers,
        media: MediaModels | None = None,
        served: Callable[[], Mapping[str, DocumentState]] = dict,
        approved_tokens: Set[str] = frozenset(),
        known_mounts: Mapping[str, Mapping[str, str]] | None = None,
        metadata_policy: MetadataPolicy | None = None,
    ) -> None:
        self._metadata_policy = metadata_policy or MetadataPolicy()
        self._sources = sources
        self._ledger = ledger
        self._text_store = text_store
        self._parse_workers = parse_workers
        self.media = media or MediaModels()
        self._ask_what_is_served = served
        self._outages = OutageSearch(lambda: self._served, text_store, approved_tokens, known_mounts or {})
        self.reports = [SourceReport(source.name) for source in sources]
        self._listings = {source.name: ListingHash() for source in sources}

    @property
    def mounts(self) -> dict[str, dict[str, str]]:
        """Source -> mount point -> prefix of the paths below it, to be remembered for the next reading."""
        return self._outages.mounts

    @property
    def listing_hashes(self) -> dict[str, str]:
        """Source -> hash of its listing, for complete listings."""
        return {
            report.source: self._listings[report.source].hexdigest()
            for report in self.reports
            if report.complete
        }

    def documents(self) -> Iterator[DocumentState]:
        """Yield all listed documents, including quarantined ones, source by source in the order of its listing.

        A source that fails ends only its own listing, and is reported as incomplete.
        """
        # List everything before reading anything: progress needs the total number.
        listings: list[Listing] = []
        for listing, report in zip(list_sources(self._sources), self.reports, strict=True):
            listings.append(listing)
            if listing.problem:
                self._incomplete(report, listing.problem)
        for source, report in zip(self._sources, self.reports, strict=True):
            if isinstance(source, CountsLeftOut):
                report.skipped_files = dict(source.left_out)
        for name, endings in skipped_files(self.reports).items():
            _logger.info("source %s: %s", name, skipped_text(endings))
        listed = (entry for listing in listings for entry in listing.entries)
        progress = Progress("documents", sum(self.media.reads(entry.filename) for entry in listed))
        workers = self._parse_workers()
        parsing = Parsing(self._ledger, self._text_store, workers, self.media)
        try:
            for source, report, listing in zip(self._sources, self.reports, listings, strict=True):
                looked_up = self._look_up(source, listing.entries, parsing, report)
                read = self._read(source, looked_up, report)
                parsed = self._parse(read, parsing, report, _DOCUMENTS_AHEAD * workers.num_workers)
                current: dict[str, DocumentState] = {}
                try:
                    for document in progress.over(parsed):
                        for state in self._reported(document, report):
                            current[state.location.path] = state
                            yield state
                except SourceUnavailable as error:
                    self._incomplete(report, str(error))
                self._outages.find(source, report, current)
            for report in self.reports:
                self._outages.find_vanished_parts(report)
        finally:
            workers.close()
            self.media.close()
        for name, entries in metadata_left_out(self.reports).items():
            _logger.info("source %s: %s", name, metadata_left_out_text(entries))
        for variable, count in files_left_out(self.reports).items():
            _logger.info(
                "%s left out, because only a model can read them: set %s", counted(count, "file"), variable
            )

    @cached_property
    def _served(self) -> Mapping[str, DocumentState]:
        return self._ask_what_is_served()

    def _reported(self, document: _Document, report: SourceReport) -> Iterator[DocumentState]:
        """Count a document and yield its state."""
        report.num_unsettled += document.is_moving
        if document.would_be_asked_about or document.is_moving:
            # Treated as unchanged: its new text is unknown.
            state = self._served.get(document.entry.document_id)
            if state is None:
                return
        else:
            state = self._state(document.entry, document.record, report)
        report.num_listed += 1
        report.num_quarantined += state.content_hash is None
        # Sensors count the same way. Without a moving document, they see a difference and start the next refresh.
        if self.media.reads(document.entry.filename) and not document.is_moving:
            self._listings[report.source].add(document.entry)
        yield state

    def _state(self, entry: SourceEntry, record: ParseRecord | None, report: SourceReport) -> DocumentState:
        if record is None:
            raise RuntimeError(f"{entry.document_id} left the stages without a record")
        metadata = self._metadata_policy.merged(entry.metadata, record.reading_metadata, record.metadata)
        report.metadata_left_out.update(metadata.left_out)
        return DocumentState(
            location=entry.location(record.title, metadata),
            content_hash=record.content_hash,
            quarantine_reason=record.quarantine_reason,
            quarantine_detail=record.quarantine_detail,
        )

    def _incomplete(self, report: SourceReport, problem: str) -> None:
        report.problem = problem
        reason = without_name(report.source, problem)
        _logger.warning(
            "source %s is incomplete, so none of its documents are deleted: %s", report.source, reason
        )

    # Stages: each takes documents in the order of the listing, and yields them in the same order

    def _look_up(
        self, source: Source, entries: Sequence[SourceEntry], parsing: Parsing, report: SourceReport
    ) -> Iterator[_Document]:
        """Look up the last parse of each document. Leave out documents of missing models."""
        for batch in batched(entries, _BATCH):
            records = self._ledger.parses([entry.uri for entry in batch])
            for entry in batch:
                if entry.access is None and source.options.access is not None:
                    entry = replace(entry, access=source.options.access)
                record = records.get(entry.uri)
                if record is not None and not parsing.usable(record):
                    record = None
                asks = asks_by_name(entry.filename)
                if (
                    record is None
                    and asks is not None
                    and not self.media.is_set(asks)
                    and entry.document_id not in self._served  # the ledger may have been lost
                ):
                    report.left_out[asks.model_variable] += 1
                    continue
                yield _Document(entry, record)

    def _read(
        self, source: Source, documents: Iterable[_Document], report: SourceReport
    ) -> Iterator[_Document]:
        """Read documents with a new or an empty version token. Those that may still be written to come last."""

        def read(document: _Document) -> _Document | None:
            entry, known = document.entry, document.record
            if known is not None and entry.version_token and known.version_token == entry.version_token:
                return document
            try:
                document.reading = source.read(entry, known.version_token if known else "")
            except DocumentGone:
                return None
            except DocumentUnreadable as error:
                # No hash: it is tried again each time, because permissions may change.
                document.record = ParseRecord(entry.uri, "", "", "", "", None, "", error.reason, error.detail)
            except RagAssetsError:
                raise
            except Exception as error:  # from a client, or a custom source, with any message
                raise SourceUnavailable(
                    f"source {source.name} failed with {type(error).__name__} while it was read"
                ) from None
            if document.record is not known or document.reading is not None:
                report.num_read += not document.was_read
                document.was_read = True
            return document

        aside: list[tuple[_Document, bytes]] = []
        for document in self._read_in_order(source, documents, read):
            if document.reading is not None and not document.reading.is_settled:
                aside.append((document, _hash_of(document.reading)))
                document.reading = None  # not kept in memory
            else:
                yield document
        yield from self._read_again(aside, read)

    def _read_in_order(
        self, source: Source, documents: Iterable[_Document], read: _Read
    ) -> Iterator[_Document]:
        if source.parallel_reads <= 1:
            yield from filter(None, map(read, documents))
            return
        with ThreadPoolExecutor(source.parallel_reads, f"read-{source.name}") as threads:
            at_work: deque[Future[_Document | None]] = deque()
            sizes: deque[int] = deque()
            try:
                for document in documents:
                    at_work.append(threads.submit(read, document))
                    sizes.append(document.entry.size_bytes)
                    while len(at_work) >= 2 * source.parallel_reads or sum(sizes) > _MOST_BYTES_AHEAD:
                        sizes.popleft()
                        if done := at_work.popleft().result():
                            yield done
                while at_work:
                    if done := at_work.popleft().result():
                        yield done
            finally:
                for reading in at_work:
                    reading.cancel()

    def _read_again(self, aside: list[tuple[_Document, bytes]], read: _Read) -> Iterator[_Document]:
        """Look again at documents that may still be written to, and once more at those that moved.

        Args:
            aside: documents, with the hash of the bytes just read.
        """
        for _ in range(_MOST_LOOKS):
            if not aside:
                return
            sleep(UNSETTLED_SECONDS)
            moving: list[tuple[_Document, bytes]] = []
            for document, last_hash in aside:
                if read(document) is None:
                    continue
                now = last_hash if document.reading is None else _hash_of(document.reading)
                if now == last_hash:
                    yield document
                else:
                    document.reading = None
                    moving.append((document, now))
            aside = moving
        for document, _ in aside:
            _logger.warning(
                "%s is still being written: left for the next refresh", document.entry.document_id
            )
            document.is_moving = True
            yield document

    def _parse(
        self, documents: Iterable[_Document], parsing: Parsing, report: SourceReport, most_ahead: int
    ) -> Iterator[_Document]:
        """Parse the documents just read."""
        ahead: deque[_Document] = deque()
        asked: dict[Parse, _Document] = {}
        gone: SourceUnavailable | None = None

        def settle(document: _Document) -> None:
            # In a dry run no model was asked.
            if document.reading and document.parse and not document.would_be_asked_about:
                entry, reading = document.entry, document.reading
                token = reading.version_token or entry.version_token
                document.record = parsing.finish(
                    document.parse, entry.uri, token, reading.title, reading.metadata
                )
                asked.pop(document.parse, None)
                document.parse = None

        def settle_paid_parses() -> None:
            # At once, even behind a slow document: after a kill the next refresh need not pay again.
            for parse in [parse for parse in asked if parse.is_done]:
                settle(asked[parse])

        def finished() -> _Document:
            document = ahead.popleft()
            while document.parse is not None and not document.parse.is_done:
                wait_for_first([document.parse, *asked])
                settle_paid_parses()
            settle(document)
            return document

        try:
            for document in documents:
                if document.reading is not None:
                    filename = document.reading.filename or document.entry.filename
                    document.parse = parsing.begin(document.reading.data, filename)
                    report.num_parsed += document.parse.is_new
                    if document.parse.is_paid_for and document.parse.outcome is not None:
                        asked[document.parse] = document
                    settle_paid_parses()
                ahead.append(document)
                while len(ahead) > most_ahead or sum(it.size_bytes for it in ahead) > _MOST_BYTES_AHEAD:
                    yield finished()
        except SourceUnavailable as error:
            gone = error  # documents read before still count
        while ahead:
            yield finished()
        parsing.remember()
        if gone is not None:
            raise gone


def _hash_of(reading: Reading) -> bytes:
    return hashlib.sha256(reading.data).digest()
