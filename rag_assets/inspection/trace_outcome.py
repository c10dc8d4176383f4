"""The outcome of one document in a word, and its explanation in sentences.

`rag_assets.inspection.trace_evidence` gathers the facts, `rag_assets.inspection.trace` lays out the report.
"""

from collections.abc import Iterator

from rag_assets.artifacts.rows import report_from
from rag_assets.changes.change_set import Change
from rag_assets.evaluation.gate import judge
from rag_assets.ingestion.source_reports import outage_text
from rag_assets.inspection.lines import last_good_version
from rag_assets.inspection.trace_evidence import Candidate, Evidence, TracedDocument
from rag_assets.parsers.registry import asks_by_name
from rag_assets.records import DocumentState
from rag_assets.sources.base import FindsOmitted


def explain(evidence: Evidence, document: TracedDocument) -> tuple[str, list[str]]:
    """Return the outcome of a document and its explanation: why, the other generations, the next refresh."""
    outcome, why = _outcome(evidence, document)
    return outcome, [
        why,
        *_differences_elsewhere(evidence, document),
        *_next_refresh(evidence, document),
    ]


def why_not_live(evidence: Evidence, candidate: Candidate) -> str:
    """Return a clause for a person: why the last candidate never went live."""
    report = report_from(candidate.evaluated) if candidate.evaluated is not None else None
    if report is None or report.generation != candidate.name:
        return "it was not evaluated: materialize eval_report and production_collection"
    verdict = judge(report, report.verdict_configuration["eval_threshold"])
    if not verdict.passed:
        return f"it failed its gate: {verdict.reason}"
    if evidence.state.hold is not None:
        return f"it waits: {evidence.state.hold_in_words}; `rag-assets resume` lifts the hold"
    if candidate.staged.header.base != evidence.state.production:
        return "production changed before it was promoted: materialize all assets"
    return "it passed its gate but was not promoted yet: materialize production_collection"


def _outcome(evidence: Evidence, document: TracedDocument) -> tuple[str, str]:
    holding, quarantine = document.holding, document.quarantine
    purged = evidence.knowledge_base.purged_documents.kept_out().get(document.id)
    if purged is not None and not holding:
        return "purged", (
            f"{purged}. It stays out, and no refresh reads it, until `rag-assets purge --lift {document.id}`"
        )
    if quarantine is not None:
        return "quarantined", (
            f"refresh {quarantine.refresh_id} quarantined it ({quarantine.quarantine_reason}: "
            f"{quarantine.quarantine_detail}); {last_good_version(document.id in evidence.served)}"
        )
    if "production" in holding:
        return "served", f"production, generation {holding['production'].name}, holds it"
    if "held" in holding:
        return "rolled_back", (
            f"it is in generation {holding['held'].name}, which was rolled back; production is held until "
            "`rag-assets resume`"
        )
    if document.candidate is not None:
        return "not_promoted", "production does not hold it"
    last = document.history[0] if document.history else None
    if document.entry is not None and last is not None and last.change is Change.OMITTED:
        return "omitted", (
            f"refresh {last.refresh_id} omitted it from the index as a near-duplicate of {last.near_duplicate_of}, "
            "which is kept (RAG_NEAR_DUPLICATES is keep_one)"
        )
    if document.entry is not None:
        if last is not None and last.change is None:
            return "not_promoted", (
                f"refresh {last.refresh_id} read it and ended before it compared it with production; the log of "
                "its run says why"
            )
        asks = asks_by_name(document.entry.filename)
        if asks is not None and not evidence.knowledge_base.media_models().is_set(asks):
            return "skipped", (
                f"its source lists it, but only a model can read {asks.plural}: set {asks.model_variable}"
            )
        if evidence.was_unsettled(document.id):
            return "not_read_yet", (
                f"refresh {evidence.refreshes[0].refresh_id} left it out, because it was still being written"
            )
        return "not_read_yet", (
            "its source lists it, but no refresh has read it yet; `rag-assets plan` shows the next refresh"
        )
    return _gone(evidence, document)


def _gone(evidence: Evidence, document: TracedDocument) -> tuple[str, str]:
    """Explain a document neither served nor listed: since when it is gone, and where it still is."""
    moved = next((one for one in document.history if one.moved_to), None)
    deleted = next((one for one in document.history if one.change is Change.DELETED), None)
    previous = document.holding.get("previous")
    outcome = "deleted"
    if moved is not None:
        outcome = "moved"
        why = f"refresh {moved.refresh_id} found it moved to {moved.moved_to}; trace that document"
    elif deleted is not None:
        why = f"refresh {deleted.refresh_id} found it gone from its source and removed it from production"
    elif previous is not None:
        why = "production no longer holds it, and the refresh that removed it is no longer kept"
    else:
        last = document.history[0].refresh_id
        why = f"refresh {last} was the last to read it; it never went live and is no longer listed"
    if previous is not None:
        why += (
            f"; the previous generation {previous.name} still holds it (`rag-assets rollback` restores all of that "
            "generation)"
        )
    else:
        why += "; no generation holds it any more"
    skipped = evidence.why_skipped(document.id)
    return outcome, f"{why}; a file of that name exists, but {skipped}" if skipped else why


def _differences_elsewhere(evidence: Evidence, document: TracedDocument) -> Iterator[str]:
    """Compare production with its possible replacements: the rolled-back generation and the candidate."""
    served = evidence.served.get(document.id)
    rolled_back = next((one for one in evidence.generations if one.role == "held"), None)
    if rolled_back is not None and served is not None:
        difference = _difference(served, rolled_back.documents.get(document.id))
        if difference:
            yield f"generation {rolled_back.name}, which was rolled back, {difference}"
    candidate = evidence.candidate
    difference = _difference(served, document.candidate)
    if candidate is not None and difference:
        yield (
            f"candidate {candidate.name} of refresh {candidate.staged.header.refresh_id} {difference}, but never went "
            f"live: {why_not_live(evidence, candidate)}"
        )


def _difference(served: DocumentState | None, other: DocumentState | None) -> str:
    if served is None or other is None:
        return "no longer holds it" if served else "holds it" if other else ""
    return "" if served.content_hash == other.content_hash else "holds another version of it"


def _next_refresh(evidence: Evidence, document: TracedDocument) -> Iterator[str]:
    """Announce the effect of the next refresh."""
    source, entry, parse = document.location.source, document.entry, document.parse
    if source not in evidence.sources:
        yield f"its source {source} is not in RAG_SOURCES; none of its documents is read or deleted"
    elif source in evidence.problems and entry is None:
        yield f"its source cannot be listed, so none of its documents is deleted: {evidence.problems[source]}"
    elif outage := evidence.outage_of(document.location):
        yield f"it is kept because of an outage of {outage_text(outage)}"
    elif entry is None and "production" in document.holding:
        refusal = evidence.refused_deletion(source)
        if refusal is not None:
            yield (
                f"its source no longer lists it, but {refusal.subject} was refused: nothing is deleted before "
                f"`rag-assets approve {refusal.token}`"
            )
            return
        if isinstance(evidence.sources[source], FindsOmitted):
            yield (
                "its source no longer lists it: the next refresh asks for it, and deletes it if the source says that it is "
                "gone"
            )
            return
        skipped = evidence.why_skipped(document.id)
        yield "its source no longer lists it: the next refresh deletes it" + (
            f" ({skipped})" if skipped else ""
        )
    elif evidence.was_unsettled(document.id) and document.id in evidence.served:
        yield (
            f"it was still being written during refresh {evidence.refreshes[0].refresh_id}: its last good version is "
            "served, and the next refresh reads it"
        )
    elif entry is not None and parse is not None and parse.version_token != entry.version_token:
        yield (
            "it may have changed since it was last read: the next refresh reads it"
            if parse.version_token
            else "it was read within seconds of being written: the next refresh reads it once more"
        )
