"""The reading of the documents of one source, on their way to the parsers. Unchanged ones are not read.

If one document fails as in an outage, and the source still answers, the document is quarantined. Such documents come
last, after moving ones.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic, sleep

from rag_assets.errors import DocumentGone, DocumentUnreadable, RagAssetsError, SourceUnavailable
from rag_assets.ingestion.parsing import Parse
from rag_assets.ingestion.proof_of_life import ProofOfLife
from rag_assets.ingestion.source_reports import SourceReport, without_name
from rag_assets.ledgers.base import ParseRecord
from rag_assets.records import SourceEntry
from rag_assets.sources.base import UNSETTLED_SECONDS, Reading, Source

_logger = logging.getLogger(__name__)
MOST_BYTES_AHEAD = 256 * 1024 * 1024
_MOST_LOOKS = 2


@dataclass(slots=True)
class ListedDocument:
    """A listed document on its way through the stages.

    Attributes:
        record: result of its parse, or None until it is known.
        reading: its bytes, if it was read.
        parse: running parse of these bytes. None again when the result is in the record.
        was_read: whether it was read in this refresh, or could not be read.
        is_moving: whether it is still being written.
        failure: error of its reading, perhaps an outage of its source.
        read_seconds: time of its reading.
    """

    entry: SourceEntry
    record: ParseRecord | None
    reading: Reading | None = None
    parse: Parse | None = None
    was_read: bool = False
    is_moving: bool = False
    failure: SourceUnavailable | None = None
    read_seconds: float = 0.0

    @property
    def size_bytes(self) -> int:
        return len(self.reading.data) if self.reading else 0

    @property
    def would_be_asked_about(self) -> bool:
        """Whether this is a dry run, and a refresh would send the document to a model."""
        return self.parse is not None and self.parse.outcome is None


class SourceReading:
    """Reads the documents of one source with a new or an empty version token.

    Args:
        listed: all documents of the source.
        report: receives the counts.
    """

    def __init__(self, source: Source, listed: Sequence[SourceEntry], report: SourceReport) -> None:
        self._source = source
        self._report = report
        self._proof = ProofOfLife(source, listed)
        self._failed: list[ListedDocument] = []

    def read(self, documents: Iterable[ListedDocument]) -> Iterator[ListedDocument]:
        """Yield the documents without deleted ones, almost in this order.

        Raises:
            SourceUnavailable: the source does not answer any more.
        """
        aside: list[tuple[ListedDocument, bytes]] = []
        for document in self._without_failed(self._in_order(documents)):
            if document.reading is not None and not document.reading.is_settled:
                aside.append((document, _hash_of(document.reading)))
                document.reading = None  # not kept in memory
            else:
                yield document
        yield from self._again(aside)
        yield from self._failed

    def _read(self, document: ListedDocument) -> ListedDocument | None:
        """Read a document, in any thread. Return None if it is gone."""
        entry, known = document.entry, document.record
        if known is not None and entry.version_token and known.version_token == entry.version_token:
            return document
        began = monotonic()
        try:
            document.reading = self._source.read(entry, known.version_token if known else "")
        except DocumentGone:
            self._report.gone.append(entry.path)
            return None
        except DocumentUnreadable as error:
            document.record = _unreadable(entry, error)
        except SourceUnavailable as error:
            document.failure = error
            return document
        except RagAssetsError:
            raise
        except Exception as error:  # from a client, or a custom source, with any message
            document.failure = SourceUnavailable(
                f"source {self._source.name} failed with {type(error).__name__} while it was read"
            )
            return document
        finally:
            document.read_seconds = monotonic() - began
        if document.record is not known or document.reading is not None:
            self._report.num_read += not document.was_read
            document.was_read = True
        return document

    def _without_failed(self, documents: Iterable[ListedDocument]) -> Iterator[ListedDocument]:
        for document in documents:
            entry = document.entry
            if document.failure is not None:
                self._proof.has_failed(entry, document.failure, after_seconds=document.read_seconds)
                reason = without_name(self._source.name, str(document.failure)).rstrip(".")
                document.record = _unreadable(entry, DocumentUnreadable("unreadable", f"{reason}."))
                self._failed.append(document)
                continue
            if document.reading is not None:
                self._proof.was_read(entry)
            elif not document.was_read:
                self._proof.is_sound(entry)
            yield document

    def _in_order(self, documents: Iterable[ListedDocument]) -> Iterator[ListedDocument]:
        parallel_reads = self._source.parallel_reads
        if parallel_reads <= 1:
            yield from filter(None, map(self._read, documents))
            return
        with ThreadPoolExecutor(parallel_reads, f"read-{self._source.name}") as threads:
            at_work: deque[Future[ListedDocument | None]] = deque()
            sizes: deque[int] = deque()
            try:
                for document in documents:
                    at_work.append(threads.submit(self._read, document))
                    sizes.append(document.entry.size_bytes)
                    while len(at_work) >= 2 * parallel_reads or sum(sizes) > MOST_BYTES_AHEAD:
                        sizes.popleft()
                        if done := at_work.popleft().result():
                            yield done
                while at_work:
                    if done := at_work.popleft().result():
                        yield done
            finally:
                for reading in at_work:
                    reading.cancel()

    def _again(self, aside: list[tuple[ListedDocument, bytes]]) -> Iterator[ListedDocument]:
        """Look again at documents that may still be written to, and once more at those that moved.

        Args:
            aside: documents, with the hash of the bytes just read.
        """
        for _ in range(_MOST_LOOKS):
            if not aside:
                return
            sleep(UNSETTLED_SECONDS)
            moving: list[tuple[ListedDocument, bytes]] = []
            hashes = {document.entry.document_id: last_hash for document, last_hash in aside}
            again = filter(None, (self._read(document) for document, _ in aside))
            for document in self._without_failed(again):
                last_hash = hashes[document.entry.document_id]
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


def _unreadable(entry: SourceEntry, error: DocumentUnreadable) -> ParseRecord:
    """Return a record without a hash: the document is tried again each time, because permissions may change."""
    return ParseRecord(entry.uri, "", "", "", "", None, "", error.reason, error.detail)


def _hash_of(reading: Reading) -> bytes:
    return hashlib.sha256(reading.data).digest()
