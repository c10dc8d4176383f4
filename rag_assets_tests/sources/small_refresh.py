"""Refreshes of one source without an index: a reading, compared with the documents left by the previous one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_assets.changes.change_set import Change, decide_changes, target_documents
from rag_assets.changes.outages import FailedParts
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.renamed_documents import renamed_documents
from rag_assets.ingestion.source_reports import SourceReport, unreadable_sources
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import DocumentState
from rag_assets.sources.base import Source
from rag_assets.text.store import TextStore
from rag_assets_tests.kept_workers import kept_workers


@dataclass(frozen=True)
class Outcome:
    """One refresh.

    Attributes:
        changes: path -> kind of its change, without the unchanged ones.
        problem: "" if everything was read.
        tokens: of the outages.
        num_parsed: number of documents parsed.
        metadata_left_out: metadata cut or left out -> number of documents.
        left_out: ending, or a word in parentheses -> number of documents left out.
    """

    changes: Mapping[str, str]
    problem: str
    tokens: frozenset[str]
    num_parsed: int
    metadata_left_out: Mapping[str, int]
    left_out: Mapping[str, int]


class SmallRefresh:
    """Refreshes a source again and again, with one ledger and one text store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.production: dict[str, DocumentState] = {}
        self.texts = TextStore(folder / "texts")

    @property
    def served(self) -> set[str]:
        """The paths in production."""
        return {state.location.path for state in self.production.values()}

    def __call__(self, source: Source, approved: frozenset[str] = frozenset()) -> Outcome:
        ledger = SqliteLedger(self._folder / "ledger.sqlite", "kb")
        try:
            ingestion = Ingestion(
                [source],
                ledger,
                self.texts,
                kept_workers,
                served=lambda: self.production,
                approved_tokens=approved,
            )
            current = list(ingestion.documents())
        finally:
            ledger.close()
        [report] = ingestion.reports
        changes = decide_changes(
            self.production.values(),
            current,
            _complete(report),
            FailedParts(report.open_outages),
            renamed_documents([source], self.production.values()),
        )
        self.production = {state.document_id: state for state in target_documents(changes)}
        return Outcome(
            {
                change.location.path: change.change.value
                for change in changes
                if change.change is not Change.UNCHANGED
            },
            unreadable_sources([report]).get(source.name, ""),
            frozenset(outage.token for outage in report.open_outages),
            report.num_parsed,
            dict(report.metadata_left_out),
            dict(report.skipped_files),
        )


def _complete(report: SourceReport) -> frozenset[str]:
    return frozenset({report.source} if report.complete else ())
