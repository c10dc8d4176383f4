"""Sources -> documents: list everything, read possible changes, parse actual changes.

A document with an unchanged version token costs one look-up. With a new token it is read and hashed, and parsed only if
this parser has not parsed the same bytes before. An unusable document is quarantined and affects only itself.
A document for a model that is not set is left out, unless it is already in production: removing a setting deletes
nothing. A source that is down or hangs ends only its own listing.
"""

import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property

from rag_assets.backports import batched
from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import SourceUnavailable
from rag_assets.ingestion.listings import Listing, ListingHash, list_sources
from rag_assets.ingestion.media_models import MediaModels
from rag_assets.ingestion.omitted_documents import Omitted, find_omitted
from rag_assets.ingestion.outage_search import OutageSearch
from rag_assets.ingestion.parsing import Parse, Parsing, wait_for_first
from rag_assets.ingestion.reading import MOST_BYTES_AHEAD, ListedDocument, SourceReading
from rag_assets.ingestion.source_reports import (
    SourceReport,
    files_left_out,
    metadata_left_out,
    metadata_left_out_text,
    skipped_files,
    skipped_text,
    without_name,
)
from rag_assets.latencies import Latencies
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.registry import asks_by_name
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, SourceEntry
from rag_assets.sources.base import (
    CountsLeftOut,
    Source,
)
from rag_assets.text.store import TextStore
from rag_assets.text.wording import counted

_logger = logging.getLogger(__name__)
_BATCH = 256
_DOCUMENTS_AHEAD = 8
"""Per worker. Enough to keep the others busy during a long document."""


class Ingestion:
    """One reading of all sources. `reports`, `media.usage` and `latencies` are filled in while `documents` is consumed.

    Args:
        media: closed after the last document.
        served: returns the documents in production by id. Called at most once.
        approved_tokens: tokens approved by a person.
        known_mounts: `mounts` of the last reading: source -> mount point -> prefix of the paths below it.
        metadata_policy: for the metadata of documents and sources.
        purged: ids of purged documents. They are listed, and not read.
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
        purged: Container[str] = frozenset(),
    ) -> None:
        self._purged = purged
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
        self._metadata_keys: set[str] = set()
        self.latencies = Latencies()

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
                report.is_lasting = listing.is_lasting
        for source, report in zip(self._sources, self.reports, strict=True):
            if isinstance(source, CountsLeftOut):
                report.skipped_files = dict(source.left_out)
        for name, endings in skipped_files(self.reports).items():
            _logger.info("source %s: %s", name, skipped_text(endings))
        listed = (entry for listing in listings for entry in listing.entries)
        progress = Progress("documents checked", sum(self.media.reads(entry.filename) for entry in listed))
        workers = self._parse_workers()
        self.latencies = workers.latencies
        parsing = Parsing(self._ledger, self._text_store, workers, self.media)
        try:
            for source, report, listing in zip(self._sources, self.reports, listings, strict=True):
                omitted = (
                    Omitted() if listing.problem else find_omitted(source, listing.entries, self._served)
                )
                if omitted.problem:
                    self._incomplete(report, omitted.problem)
                entries = list(self._without_purged([*listing.entries, *omitted.entries], report))
                looked_up = self._look_up(source, entries, parsing, report)
                read = SourceReading(source, entries, report).read(looked_up)
                parsed = self._parse(read, parsing, report, _DOCUMENTS_AHEAD * workers.num_workers)
                current: dict[str, DocumentState] = {}
                try:
                    for document in progress.over(parsed):
                        for state in self._reported(document, report):
                            current[state.location.path] = state
                            yield state
                except SourceUnavailable as error:
                    self._incomplete(report, str(error))
                self._outages.find(source, report, current, omitted.outages(source.name))
            for report in self.reports:
                self._outages.find_vanished_parts(report)
        finally:
            workers.close()
            self.media.close()
        for name, entries in metadata_left_out(self.reports).items():
            _logger.info("source %s: %s", name, metadata_left_out_text(entries))
        if all(report.complete for report in self.reports) and any(it.num_listed for it in self.reports):
            for problem in self._metadata_policy.unseen_keys(self._metadata_keys):
                _logger.warning("%s", problem)
        for variable, count in files_left_out(self.reports).items():
            _logger.info(
                "%s left out, because only a model can read them: set %s", counted(count, "file"), variable
            )

    @cached_property
    def _served(self) -> Mapping[str, DocumentState]:
        return self._ask_what_is_served()

    def _without_purged(self, entries: Iterable[SourceEntry], report: SourceReport) -> Iterator[SourceEntry]:
        for entry in entries:
            if entry.document_id not in self._purged:
                yield entry
                continue
            report.num_purged += 1
            # As the sensors count it, or they would start refreshes for ever.
            if self.media.reads(entry.filename):
                self._listings[report.source].add(entry)

    def _reported(self, document: ListedDocument, report: SourceReport) -> Iterator[DocumentState]:
        """Count a document and yield its state."""
        if document.is_moving:
            report.unsettled.append(document.entry.document_id)
        if document.would_be_asked_about or document.is_moving:
            # Treated as unchanged: its new text is unknown.
            state = self._served.get(document.entry.document_id)
            if state is None:
                return
            kept = self._metadata_policy.merged(state.location.metadata)
            state = replace(state, location=replace(state.location, metadata=kept))
        else:
            state = self._state(document.entry, document.record, report)
        self._metadata_keys |= state.location.metadata.keys_said
        report.num_listed += 1
        report.num_quarantined += state.content_hash is None
        # Sensors count the same way. Without a moving document, they see a difference and start the next refresh.
        if self.media.reads(document.entry.filename) and not document.is_moving:
            self._listings[report.source].add(document.entry)
        yield state

    def _state(self, entry: SourceEntry, record: ParseRecord | None, report: SourceReport) -> DocumentState:
        if record is None:
            raise RuntimeError(f"{entry.document_id} left the stages without a record")
        metadata = self._metadata_policy.merged(
            entry.metadata, self._unread_metadata(entry), record.reading_metadata, record.metadata
        )
        report.metadata_left_out.update(metadata.left_out)
        return DocumentState(
            location=entry.location(record.title, metadata),
            content_hash=record.content_hash,
            quarantine_reason=record.quarantine_reason,
            quarantine_detail=record.quarantine_detail,
        )

    def _unread_metadata(self, entry: SourceEntry) -> Metadata:
        """Return the values in production of the keys that the source could not read this time."""
        served = self._served.get(entry.document_id) if entry.metadata.unread else None
        if served is None:
            return NO_METADATA
        known = served.location.metadata
        return Metadata.of({key: known[key] for key in entry.metadata.unread if key in known})

    def _incomplete(self, report: SourceReport, problem: str) -> None:
        report.problem = problem
        reason = without_name(report.source, problem)
        _logger.warning(
            "source %s is incomplete, so none of its documents are deleted: %s", report.source, reason
        )

    # Stages: each takes documents in the order of the listing, and yields them in the same order

    def _look_up(
        self, source: Source, entries: Sequence[SourceEntry], parsing: Parsing, report: SourceReport
    ) -> Iterator[ListedDocument]:
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
                yield ListedDocument(entry, record)

    def _parse(
        self, documents: Iterable[ListedDocument], parsing: Parsing, report: SourceReport, most_ahead: int
    ) -> Iterator[ListedDocument]:
        """Parse the documents just read."""
        ahead: deque[ListedDocument] = deque()
        asked: dict[Parse, ListedDocument] = {}
        gone: SourceUnavailable | None = None

        def settle(document: ListedDocument) -> None:
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

        def finished() -> ListedDocument:
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
                while len(ahead) > most_ahead or sum(it.size_bytes for it in ahead) > MOST_BYTES_AHEAD:
                    yield finished()
        except SourceUnavailable as error:
            gone = error  # documents read before still count
        while ahead:
            yield finished()
        parsing.remember()
        if gone is not None:
            raise gone
