"""Everything that is kept about documents, gathered once, for explaining what became of one of them.

The sources' listings, the generations in production, before it and held, and the artefacts of the last refreshes.
What it means is said in `rag_assets.inspection.trace`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_assets.artifacts.artifact import Artifact
from rag_assets.artifacts.rows import report_from
from rag_assets.changes.change_set import Change
from rag_assets.errors import RefusedError, SourceUnavailable
from rag_assets.evaluation.benchmark import ids_named
from rag_assets.evaluation.gate import judge
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import ParseRecord
from rag_assets.records import DocumentState, GenerationManifest, Location, Point, SourceEntry
from rag_assets.sources.base import ExplainsWhatItSkips


@dataclass(frozen=True, slots=True)
class KeptGeneration:
    """A generation that serves, served, or is held.

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
    """What is kept of one refresh: the last artefact of each asset."""

    refresh_id: str
    artifacts: dict[str, Artifact]


@dataclass(frozen=True, slots=True)
class PastChange:
    """What one refresh did to a document.

    Attributes:
        artifact: that says so.
        change: None if the refresh read the document and ended before it decided anything.
        moved_to: id that the document has had since.
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
    """The last candidate, which never went live.

    Attributes:
        staged: the artefact that names it.
        not_live_because: in a clause.
    """

    staged: Artifact
    not_live_because: str

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
        candidate: its state in the last candidate, if that never went live.
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
    """What is known of the documents of a knowledge base."""

    def __init__(self, knowledge_base: KnowledgeBase) -> None:
        self.knowledge_base = knowledge_base
        self.state = knowledge_base.vector_store.production_state()
        self.sources = {source.name: source for source in knowledge_base.sources()}
        self.listed: dict[str, SourceEntry] = {}
        self.problems: dict[str, str] = {}
        for source in self.sources.values():
            try:
                self.listed.update((entry.document_id, entry) for entry in source.list_entries())
            except SourceUnavailable as error:
                self.problems[source.name] = str(error)

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
        """The latest first."""
        found: dict[str, dict[str, Artifact]] = {}
        for asset in ("raw_documents", "deduped_documents", "staging_collection", "eval_report"):
            for artifact in self.knowledge_base.artifacts.kept(asset):
                found.setdefault(artifact.header.refresh_id, {}).setdefault(asset, artifact)
        return [KeptRefresh(refresh_id, found[refresh_id]) for refresh_id in sorted(found, reverse=True)]

    @cached_property
    def candidate(self) -> Candidate | None:
        """None if the last candidate went live, or there never was one."""
        for refresh in self.refreshes:
            staged = refresh.artifacts.get("staging_collection")
            if staged is not None:
                lived = (self.state.production, self.state.previous, self.state.held)
                if staged.details["generation"] in lived:
                    return None
                return Candidate(staged, self._why_not_live(staged, refresh.artifacts.get("eval_report")))
        return None

    def _why_not_live(self, staged: Artifact, evaluated: Artifact | None) -> str:
        report = report_from(evaluated) if evaluated is not None else None
        if report is None or report.generation != staged.details["generation"]:
            return "it was not evaluated: materialize eval_report and production_collection"
        verdict = judge(report, report.verdict_configuration["eval_threshold"])
        if not verdict.passed:
            return f"it failed its gate: {verdict.reason}"
        if self.state.held is not None:
            return "production is held since a rollback: run `rag-assets resume`, then materialize all assets"
        if staged.header.base != self.state.production:
            return "production moved on before it was promoted: materialize all assets"
        return "it passed its gate and was not promoted yet: materialize production_collection"

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
                    yield from map(Location.from_payload, refresh.artifacts[asset].rows())

    def resolve(self, name: str) -> Location | None:
        """Return the document of that name: one that is there now, else one that was.

        Raises:
            RefusedError: the name fits several documents that differ.
        """
        names = [name]
        with suppress(OSError, ValueError):
            if Path(name).exists():  # as a shell completes it
                names.append(Path(name).absolute().as_uri())
        for locations in (self.current_locations(), self.earlier_locations()):
            by_id = {location.document_id: location for location in locations}
            for one in names:
                ids = ids_named(one, by_id.values())
                if len(ids) > 1 and not self._are_one_text(ids):
                    raise RefusedError(
                        f"{name!r} is ambiguous, it fits {', '.join(ids)}: write one of these instead"
                    )
                if ids:
                    return by_id[ids[0]]
        return None

    def _are_one_text(self, document_ids: list[str]) -> bool:
        """Whether production serves all of them, with one text."""
        states = [self.served.get(document_id) for document_id in document_ids]
        contents = {state.content_hash if state else None for state in states}
        return len(contents) == 1 and None not in contents

    def point(self, point_id: str) -> tuple[Point | None, list[KeptGeneration]]:
        """Return a point, and the generations that hold it."""
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
        """Return what the kept refreshes did to a document, the latest first."""
        found: list[PastChange] = []
        for refresh in self.refreshes:
            deduped = refresh.artifacts.get("deduped_documents")
            raw = refresh.artifacts.get("raw_documents")
            if deduped is not None:
                rows = deduped.find_rows("document_id", document_id)
                found.extend(_past_change(deduped, row, Change(row["change"])) for row in rows)
                rows = deduped.find_rows("moved_from", document_id)
                found.extend(PastChange(deduped, Change.MOVED, moved_to=row["document_id"]) for row in rows)
            elif raw is not None:
                found.extend(
                    _past_change(raw, row, None) for row in raw.find_rows("document_id", document_id)
                )
        return found

    def near_duplicates(self, document_id: str) -> list[str]:
        """Return the documents that say nearly the same, as the last refresh found."""
        deduped = self.refreshes[0].artifacts.get("deduped_documents") if self.refreshes else None
        groups = deduped.details.get("near_duplicates", []) if deduped else []
        found = next((one["document_ids"] for one in groups if document_id in one["document_ids"]), [])
        return [one for one in found if one != document_id]

    def why_skipped(self, name: str) -> str | None:
        """Return why no source lists something that is there; None if nothing of that name is there."""
        for source in self.sources.values():
            if isinstance(source, ExplainsWhatItSkips):
                for one in (name, str(Path(name).absolute())):
                    reason = source.why_not_listed(one)
                    if reason:
                        return reason
        return None

    def run_of(self, refresh_id: str) -> str | None:
        """Return the Dagster run that staged what a refresh made, as far as that is kept."""
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
