"""Bytes -> text, once for the same bytes: known parses are looked up, new ones run in workers or models.

This module decides which parses the ledger keeps, and how long they are valid. It knows nothing about sources.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import DocumentUnreadable
from rag_assets.ingestion.media_models import MediaModels
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.parsers.base import AnyParser, ContainerParser
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.media import AsksModel
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.registry import parser_named, recognize, version_of
from rag_assets.text.store import TextStore

_REMEMBERED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Parse:
    """A finished or running parse.

    Attributes:
        outcome: None in a dry run, for a document to send to a model.
        is_new: whether these bytes had neither a known nor a running parse.
    """

    raw_hash: str
    parser: AnyParser
    outcome: "ParseRecord | Future[ParsedText] | None"
    is_new: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.raw_hash, self.parser.name

    @property
    def is_done(self) -> bool:
        return not isinstance(self.outcome, Future) or self.outcome.done()

    @property
    def is_paid_for(self) -> bool:
        return self.is_new and isinstance(self.parser, AsksModel)


def wait_for_first(parses: Iterable[Parse]) -> None:
    """Wait until one of these parses is done."""
    futures = [parse.outcome for parse in parses if isinstance(parse.outcome, Future)]
    wait(futures, return_when=FIRST_COMPLETED)


class Parsing:
    """Parses the bytes of documents. Writes results to the ledger in batches; `remember()` flushes."""

    def __init__(
        self, ledger: Ledger, text_store: TextStore, workers: ParseWorkers, media: MediaModels
    ) -> None:
        self._ledger = ledger
        self._text_store = text_store
        self._workers = workers
        self._media = media
        # With other limits, documents above the old ones are tried again.
        self._limits = hashlib.sha256(repr(workers.limits).encode()).hexdigest()[:8]
        # For models only the text limit counts: to ask again costs money.
        self._media_limits = f"{workers.limits.text_bytes} bytes"
        # Needed for each document, always the same.
        self._versions: dict[tuple[str, bool], str] = {}
        self._fresh: list[ParseRecord] = []
        # Parses not yet in the ledger: copies of a document often come in the same minute.
        self._by_bytes: dict[tuple[str, str], ParseRecord | Future[ParsedText]] = {}
        # Kept to the end: a ledger without memory left would let a copy be paid for again.
        self._paid: set[tuple[str, str]] = set()

    def begin(self, data: bytes, filename: str) -> Parse:
        """Look up the parse of these bytes, or start it."""
        parser = recognize(data, filename)
        raw_hash = hashlib.sha256(data)
        if isinstance(parser, ContainerParser):
            # The name of a compressed file determines the format of its content.
            raw_hash.update(b"\0" + filename.encode(errors="surrogatepass"))
        return self._begin(raw_hash.hexdigest(), parser, data, filename)

    def _begin(self, raw_hash: str, parser: AnyParser, data: bytes, filename: str) -> Parse:
        outcome = self._by_bytes.get((raw_hash, parser.name)) or self._recorded(raw_hash, parser)
        if outcome is not None:
            return Parse(raw_hash, parser, outcome)
        is_new = True
        if not isinstance(parser, AsksModel):
            parsing = self._workers.submit(parser, data, filename)
        elif not self._media.asks and self._media.sends(parser, data):
            return Parse(raw_hash, parser, None, is_new=self._media.count(parser, raw_hash, len(data)))
        else:
            parsing = self._media.submit(parser, data)
            is_new = self._media.is_set(parser)
        self._by_bytes[raw_hash, parser.name] = parsing
        return Parse(raw_hash, parser, parsing, is_new)

    def finish(
        self,
        parse: Parse,
        source_uri: str,
        version_token: str,
        title: str = "",
        reading_metadata: Metadata = NO_METADATA,
    ) -> ParseRecord:
        """Wait for a parse, and remember it for a document.

        Args:
            title: title in the source, or "" for the title in the document.
            reading_metadata: metadata in the source, known after reading.
        """
        outcome = self._by_bytes.get(parse.key) or parse.outcome
        if outcome is None:
            raise RuntimeError("the parse was not started, as in every dry run")
        if isinstance(outcome, Future):
            outcome = self._by_bytes[parse.key] = self._record(parse, outcome)
        if not outcome.raw_hash:  # perhaps a fault of this machine: not remembered
            return replace(outcome, source_uri=source_uri, reading_metadata=reading_metadata)
        record = replace(
            outcome,
            source_uri=source_uri,
            version_token=version_token,
            title=title or outcome.title,
            reading_metadata=reading_metadata,
        )
        self._fresh.append(record)
        if parse.is_paid_for:
            self._paid.add(parse.key)
            # Under its bytes too: a new version of the file, or another model, replaces this record, and may be
            # reverted later.
            known_by = f"{outcome.raw_hash} {outcome.parser_version}"
            self._fresh.append(replace(outcome, source_uri=known_by))
        # Paid parses are remembered at once.
        if len(self._fresh) >= _REMEMBERED_AT_ONCE or parse.is_paid_for:
            self.remember()
        return record

    def remember(self) -> None:
        """Write all pending results to the ledger."""
        if self._fresh:
            self._ledger.put_parses(self._fresh)
        self._fresh.clear()
        self._by_bytes = {
            key: one for key, one in self._by_bytes.items() if isinstance(one, Future) or key in self._paid
        }

    def usable(self, record: ParseRecord) -> bool:
        """Return whether a recorded parse is valid: same version of the parser, and its text is still stored.

        The answer of a model stays valid without that model, because it could not be repeated.
        """
        parser = parser_named(record.parser)
        if parser is None:
            return False
        if record.content_hash is None:
            return record.parser_version == self._version_of(parser, quarantined=True)
        counts_on = isinstance(parser, AsksModel) and not self._media.is_set(parser)
        if not counts_on and record.parser_version != self._version_of(parser, quarantined=False):
            return False
        return self._text_store.has(record.content_hash)

    def _version_of(self, parser: AnyParser, *, quarantined: bool) -> str:
        key = (parser.name, quarantined)
        if key not in self._versions:
            version, limits = version_of(parser, quarantined=quarantined), self._limits
            if isinstance(parser, AsksModel):
                version, limits = f"{version} {self._media.identity_of(parser)}", self._media_limits
            self._versions[key] = f"{version}/{limits}" if quarantined else version
        return self._versions[key]

    def _recorded(self, raw_hash: str, parser: AnyParser) -> ParseRecord | None:
        versions = [self._version_of(parser, quarantined=quarantined) for quarantined in (False, True)]
        records = (self._ledger.parse_of_bytes(raw_hash, parser.name, version) for version in versions)
        return next((record for record in records if record is not None and self.usable(record)), None)

    def _record(self, parse: Parse, parsing: "Future[ParsedText]") -> ParseRecord:
        parser = parse.parser
        try:
            parsed = parsing.result()
        except DocumentUnreadable as error:
            raw_hash = parse.raw_hash if error.lasting else ""
            version = self._version_of(parser, quarantined=True)
            return ParseRecord("", "", raw_hash, parser.name, version, None, "", error.reason, error.detail)
        content_hash = self._text_store.put(parsed.text)
        return ParseRecord(
            "",
            "",
            parse.raw_hash,
            parser.name,
            self._version_of(parser, quarantined=False),
            content_hash,
            parsed.title,
            metadata=parsed.metadata,
        )
