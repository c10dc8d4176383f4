"""A source with documents and failures set by a test, and a reader with one ledger and one text store."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import DocumentState, Outage, SourceEntry
from rag_assets.sources.base import Reading, Source, SourceOptions, token_by_clock
from rag_assets.text.store import TextStore
from rag_assets_tests.kept_workers import kept_workers


class FakeSource:
    """Documents in a dictionary. The version token is a number, raised by `put`.

    Attributes:
        read_paths: paths of the documents read, in order.
        fails_after: number of entries before the listing fails, or None.
        gone_after: number of reads before the source disappears, or None.
        cut_off: paths of documents whose reading fails like an outage.
        failed: failed parts.
        metadata: path -> metadata in the listing.
        reading_metadata: path -> metadata known after reading.
    """

    def __init__(self, name: str = "fake", **files: bytes) -> None:
        self.name = name
        self.options = SourceOptions()
        self.parallel_reads = 1
        self.metadata: dict[str, Metadata] = {}
        self.reading_metadata: dict[str, Metadata] = {}
        self.files: dict[str, bytes] = {}
        self.tokens: dict[str, int] = {}
        self.modified_at: str | None = "2026-01-01T00:00:00Z"
        self.unreadable: set[str] = set()
        self.read_paths: list[str] = []
        self.fails_after: int | None = None
        self.gone_after: int | None = None
        self.cut_off: set[str] = set()
        self.failed: list[Outage] = []
        for path, data in files.items():
            self.put(path.replace("_", "."), data)

    def put(self, path: str, data: bytes) -> None:
        self.files[path] = data
        self.tokens[path] = self.tokens.get(path, 0) + 1

    def list_entries(self) -> Iterator[SourceEntry]:
        for number, path in enumerate(sorted(self.files)):
            if number == self.fails_after:
                raise SourceUnavailable(f"source {self.name}: the listing broke off")
            yield SourceEntry(
                document_id=f"{self.name}:{path}",
                source=self.name,
                uri=f"{self.name}:///{path}",
                path=path,
                filename=path.rpartition("/")[2],
                version_token=str(self.tokens[path]),
                size_bytes=len(self.files[path]),
                modified_at=self.modified_at,
                metadata=self.metadata.get(path, NO_METADATA),
            )

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading:
        if self.gone_after is not None and len(self.read_paths) >= self.gone_after:
            raise SourceUnavailable(f"source {self.name} is gone")
        self.read_paths.append(entry.path)
        if entry.path in self.cut_off:
            raise SourceUnavailable(f"source {self.name}: an object was cut off")
        if entry.path in self.unreadable:
            raise DocumentUnreadable("unreadable", "Permission denied.")
        return Reading(
            self.files[entry.path],
            version_token=token_by_clock(entry),
            metadata=self.reading_metadata.get(entry.path, NO_METADATA),
        )

    def outages(self) -> list[Outage]:
        return self.failed


class Reader:
    """Reads sources again and again, with one ledger and one text store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.texts = TextStore(folder / "texts")
        self.ledger = SqliteLedger(folder / "ledger.sqlite", "kb")

    def flush_ledger(self) -> None:
        self.ledger.close()
        (self.folder / "ledger.sqlite").unlink()
        self.ledger = SqliteLedger(self.folder / "ledger.sqlite", "kb")

    def __call__(
        self,
        *sources: Source,
        served: Mapping[str, DocumentState] | None = None,
        approved_tokens: frozenset[str] = frozenset(),
        known_mounts: Mapping[str, Mapping[str, str]] | None = None,
        metadata_policy: MetadataPolicy | None = None,
    ) -> tuple[dict[str, DocumentState], Ingestion]:
        for source in sources:
            if isinstance(source, FakeSource):
                source.read_paths.clear()
        ingestion = Ingestion(
            sources,
            self.ledger,
            self.texts,
            kept_workers,
            served=lambda: served or {},
            approved_tokens=approved_tokens,
            known_mounts=known_mounts or {},
            metadata_policy=metadata_policy,
        )
        return {state.location.path: state for state in ingestion.documents()}, ingestion
