"""All records of the documents, gathered once to explain the history of one document.

They are: the listings of the sources, the generations in production, before it and held, and the artifacts of the last
refreshes. `rag_assets.inspection.trace_outcome` interprets them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.artifacts.rows import location_from_row
from rag_assets.changes.change_set import Change
from rag_assets.changes.outages import FailedParts
from rag_assets.evaluation.benchmark import ids_named
from rag_assets.inspection.document_names import ambiguous_name, spelled_names
from rag_assets.inspection.settled import settled_rows
from rag_assets.inspection.source_listings import ListedSource, list_with_outages
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import ParseRecord
from rag_assets.records import (
    DocumentState,
    GenerationManifest,
    Location,
    Outage,
    Point,
    Refusal,
    SourceEntry,
)
from rag_assets.sources.base import ExplainsWhatItSkips, Source


@dataclass(frozen=True, slots=True)
class KeptGeneration:
    """A generation in production, before production, or held.

    Attributes:
        role: `production`, `previous` or `held`.
        documents: by id.
    """

    role: str
    manifest: GenerationManifest
    documents: dict[str, DocumentState]

    @property
    def name(self) -> str:
        return self.manifest.generation


@dataclass(frozen=True, slots=True)
class KeptRefresh:
    """The records of one refresh: the last artifact of each asset."""

    refresh_id: str
    artifacts: dict[str, Artifact]


@dataclass(frozen=True, slots=True)
class PastChange:
    """The effect of one refresh on a document.

    Attributes:
        artifact: the source of this record.
        change: None if the refresh read the document and ended before comparing it with production.
        moved_to: id of the document from then on.
    """

    artifact: Artifact
    change: Change | None
    content_hash: str | None = None
    moved_from: str | None = None
    moved_to: str | None = None
    quarantine_reason: str = ""
    quarantine_detail: str = ""
    near_duplicate_of: str | None = None

    @property
    def refresh_id(self) -> str:
        return self.artifact.header.refresh_id


@dataclass(frozen=True, slots=True)
class Candidate:
    """The last candidate, if it never went live.

    Attributes:
        staged: the artifact with its name.
        evaluated: the artifact with its report, None if the refresh ended before it.
    """

    staged: Artifact
    evaluated: Artifact | None

    @property
    def name(self) -> str:
        return self.staged.details["generation"]


@dataclass(frozen=True, slots=True)
class TracedDocument:
    """One document with all its records.

    Attributes:
        entry: as its source lists it now.
        history: its past changes, the latest first.
        holding: generations with the document, by role.
        candidate: its state in the last candidate, if the candidate never went live.
    """

    location: Location
    entry: SourceEntry | None
    parse: ParseRecord | None
    history: list[PastChange]
    holding: dict[str, KeptGeneration]
    candidate: DocumentState | None

    @property
    def id(self) -> str:
        return self.location.document_id

    @property
    def content_hash(self) -> str | None:
        """Content hash of the served version, else of the newest known one."""
        for generation in self.holding.values():
            return generation.documents[self.id].content_hash
        if self.candidate is not None:
            return self.candidate.content_hash
        return self.parse.content_hash if self.parse else None

    @property
    def quarantine(self) -> PastChange | None:
        """The latest refresh of the document, if it quarantined the document."""
        last = self.history[0] if self.history else None
        there = self.entry is not None or "production" in self.holding
        return last if last is not None and last.quarantine_reason and there else None


class Evidence:
    """The records of a knowledge base about its documents. The sources are listed when they are first needed.

    Attributes:
        listed: id -> entry of each listed document.
        problems: source -> reason for its incomplete listing.
        outages: failed parts of the sources.
    """

    def __init__(self, knowledge_base: KnowledgeBase) -> None:
        self.knowledge_base = knowledge_base
        self.state = knowledge_base.vector_store.production_state()

    @cached_property
    def _listings(self) -> list[ListedSource]:
        return list_with_outages(self.knowledge_base, self.served)

    @cached_property
    def sources(self) -> dict[str, Source]:
        return {one.source.name: one.source for one in self._listings}

    @cached_property
    def listed(self) -> dict[str, SourceEntry]:
        return {entry.document_id: entry for one in self._listings for entry in one.entries}

    @cached_property
    def problems(self) -> dict[str, str]:
        return {one.source.name: one.report.problem for one in self._listings if not one.report.complete}

    @cached_property
    def outages(self) -> list[Outage]:
        return [outage for one in self._listings for outage in one.report.open_outages]

    @cached_property
    def generations(self) -> list[KeptGeneration]:
        found: list[KeptGeneration] = []
        roles = {
            "production": self.state.production,
            "previous": self.state.previous,
            "held": self.state.held,
        }
        for role, name in roles.items():
            manifest = self.knowledge_base.vector_store.manifest(name) if name else None
            if manifest is not None:
                documents = (
                    self.served
                    if role == "production"
                    else {state.document_id: state for state in self.knowledge_base.documents_of(name)}
                )
                found.append(KeptGeneration(role, manifest, documents))
        return found

    @cached_property
    def served(self) -> dict[str, DocumentState]:
        """The documents in production, by id."""
        return self.knowledge_base.served_documents()

    @cached_property
    def refreshes(self) -> list[KeptRefresh]:
        """All recorded refreshes, latest first."""
        found: dict[str, dict[str, Artifact]] = {}
        for asset in ("raw_documents", "deduped_documents", "staging_collection", "eval_report"):
            for artifact in self.knowledge_base.artifacts.kept(asset):
                found.setdefault(artifact.header.refresh_id, {}).setdefault(asset, artifact)
        refreshes = [KeptRefresh(refresh_id, artifacts) for refresh_id, artifacts in found.items()]
        return sorted(
            refreshes,
            key=lambda one: max(artifact.header.order for artifact in one.artifacts.values()),
            reverse=True,
        )

    @cached_property
    def candidate(self) -> Candidate | None:
        """The last candidate, or None if it went live or never existed."""
        for refresh in self.refreshes:
            staged = refresh.artifacts.get("staging_collection")
            if staged is not None:
                if staged.details["generation"] in self.state.kept:
                    return None
                return Candidate(staged, refresh.artifacts.get("eval_report"))
        return None

    def document(self, location: Location) -> TracedDocument:
        """Collect the records of one document."""
        document_id, uri = location.document_id, location.source_uri
        rows = self.candidate.staged.find_rows("document_id", document_id) if self.candidate else []
        return TracedDocument(
            location=location,
            entry=self.listed.get(document_id),
            parse=self.knowledge_base.ledger.parses([uri]).get(uri),
            history=self.history(document_id),
            holding={one.role: one for one in self.generations if document_id in one.documents},
            candidate=DocumentState(location, rows[0]["content_hash"]) if rows else None,
        )

    def current_locations(self) -> list[Location]:
        listed = [entry.location() for entry in self.listed.values()]
        return listed + [state.location for state in self.served.values()]

    def earlier_locations(self) -> Iterator[Location]:
        for generation in self.generations:
            yield from (state.location for state in generation.documents.values())
        for refresh in self.refreshes:
            for asset in ("raw_documents", "deduped_documents"):
                if asset in refresh.artifacts:
                    yield from map(location_from_row, refresh.artifacts[asset].rows())

    def resolve(self, name: str) -> Location | None:
        """Return the location of a present document of this name, or else of a past one.

        Raises:
            RefusedError: the name fits several different documents.
        """
        for locations in (self.current_locations(), self.earlier_locations()):
            by_id = {location.document_id: location for location in locations}
            for one in spelled_names(name):
                ids = ids_named(one, by_id.values())
                if len(ids) > 1 and not self._are_one_text(ids):
                    raise ambiguous_name(name, ids)
                if ids:
                    return by_id[ids[0]]
        return None

    def _are_one_text(self, document_ids: list[str]) -> bool:
        """Whether production serves all these documents, with the same text."""
        states = [self.served.get(document_id) for document_id in document_ids]
        contents = {state.content_hash if state else None for state in states}
        return len(contents) == 1 and None not in contents

    def point(self, point_id: str) -> tuple[Point | None, list[KeptGeneration]]:
        """Return a point and the generations with it."""
        found: Point | None = None
        holding: list[KeptGeneration] = []
        for generation in self.generations:
            reader = self.knowledge_base.vector_store.read(generation.name)
            try:
                for point in reader.retrieve([point_id]):
                    found = found or point
                    holding.append(generation)
            finally:
                reader.close()
        return found, holding

    def history(self, document_id: str) -> list[PastChange]:
        """Return the changes of a document in the recorded refreshes, latest first."""
        found: list[PastChange] = []
        for refresh in self.refreshes:
            deduped = refresh.artifacts.get("deduped_documents")
            raw = refresh.artifacts.get("raw_documents")
            if deduped is not None:
                later = settled_rows(refresh.artifacts.get("staging_collection"), refresh.refresh_id)
                settled = later.get(document_id)
                rows = [settled] if settled else deduped.find_rows("document_id", document_id)
                found.extend(_past_change(deduped, row, Change(row["change"])) for row in rows)
                rows = deduped.find_rows("moved_from", document_id)
                found.extend(PastChange(deduped, Change.MOVED, moved_to=row["document_id"]) for row in rows)
            elif raw is not None:
                found.extend(
                    _past_change(raw, row, None) for row in raw.find_rows("document_id", document_id)
                )
        return found

    def near_duplicates(self, document_id: str) -> list[str]:
        """Return the near-duplicates of a document in the last refresh."""
        deduped = self.refreshes[0].artifacts.get("deduped_documents") if self.refreshes else None
        groups = deduped.details.get("near_duplicates", []) if deduped else []
        found = next((one["document_ids"] for one in groups if document_id in one["document_ids"]), [])
        return [one for one in found if one != document_id]

    def outage_of(self, location: Location) -> Outage | None:
        """Return the outage that keeps this document in production, or None."""
        if location.document_id not in self.served:
            return None
        for outage in self.outages:
            part = FailedParts([outage])
            is_missing = location.document_id not in self.listed
            if part.withhold(location) or (is_missing and part.contain(location)):
                return outage
        return None

    def refused_deletion(self, source: str) -> Refusal | None:
        """Return a refused deletion of documents of this source that waits for an approval, or None."""
        ledger = self.knowledge_base.ledger
        approved = ledger.approved_tokens()
        refusals = (one for one in ledger.refusals().values() if one.token not in approved)
        return next((one for one in refusals if one.kind == "deletion" and source in one.sources), None)

    def was_unsettled(self, document_id: str) -> bool:
        """Whether a document was still being written during the last refresh."""
        raw = self.refreshes[0].artifacts.get("raw_documents") if self.refreshes else None
        return raw is not None and document_id in raw.details.get("unsettled", ())

    def why_skipped(self, name: str) -> str | None:
        """Return why no source lists an existing file or page, or None if none of this name exists."""
        for source in self.sources.values():
            if isinstance(source, ExplainsWhatItSkips):
                for one in (name, str(Path(name).absolute())):
                    reason = source.why_not_listed(one)
                    if reason:
                        return reason
        return None

    def run_of(self, refresh_id: str) -> str | None:
        """Return the id of the Dagster run of a refresh, if recorded."""
        for generation in self.generations:
            if generation.manifest.refresh_id == refresh_id and generation.manifest.run_id:
                return generation.manifest.run_id
        for refresh in self.refreshes:
            if refresh.refresh_id == refresh_id and "staging_collection" in refresh.artifacts:
                return refresh.artifacts["staging_collection"].header.run_id
        return None


def _past_change(artifact: Artifact, row: dict[str, Any], change: Change | None) -> PastChange:
    return PastChange(
        artifact=artifact,
        change=change,
        content_hash=row["content_hash"],
        moved_from=row.get("moved_from"),
        quarantine_reason=row["quarantine_reason"],
        quarantine_detail=row["quarantine_detail"],
        near_duplicate_of=row.get("near_duplicate_of"),
    )
