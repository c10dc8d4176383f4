"""What serves, what the last refresh did, and what needs a person. The form of `status --json` is stable."""

from dataclasses import asdict
from typing import Any

from rag_assets.artifacts.rows import change_from_row, report_from
from rag_assets.artifacts.store import ArtifactStore
from rag_assets.changes.change_set import count_changes
from rag_assets.errors import MENDED_BY_REBUILD, StateFormatError
from rag_assets.evaluation.gate import judge
from rag_assets.evaluation.report import worst_queries
from rag_assets.ingestion.source_reports import degraded_lines
from rag_assets.inspection.unconfigured_sources import unconfigured_lines, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.retrieval import recorded_model

_WORST_QUERIES = 5
_STEPS = ("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection", "eval_report")
"""Those that leave an artefact."""


def status(knowledge_base: KnowledgeBase) -> dict[str, Any]:
    """Return the state of a knowledge base as JSON can hold it; the keys are documented in docs/cli.md."""
    state = knowledge_base.vector_store.production_state()
    holder = live_holder(knowledge_base.ledger)
    failure = knowledge_base.failures.get()
    return {
        "production": _production(knowledge_base, state.production),
        "previous_generation": state.previous,
        "held_generation": state.held,
        "live_refresh": None if holder is None else holder.owner,
        "last_failure": None if failure is None else asdict(failure),
        "unconfigured_sources": unconfigured_sources(
            # Of the ledger only: where it forgot, the points would have to be read.
            knowledge_base.settings,
            knowledge_base.ledger.documents(state.production or "") or (),
        ),
        "last_refresh": _last_refresh(knowledge_base),
    }


def _production(knowledge_base: KnowledgeBase, generation: str | None) -> dict[str, Any] | None:
    if generation is None:
        return None
    try:
        manifest, problem = knowledge_base.production_manifest(), ""
    except MENDED_BY_REBUILD as error:
        manifest, problem = None, str(error)
    return {
        "generation": generation,
        "refresh_id": manifest and manifest.refresh_id,
        "num_documents": manifest and manifest.documents_count,
        "num_points": manifest and manifest.points_count,
        "embedding_model": manifest and recorded_model(manifest).model,
        "sealed_at": manifest and manifest.sealed_at,
        "digest": manifest and manifest.digest,
        "problem": problem,
    }


def _last_refresh(knowledge_base: KnowledgeBase) -> dict[str, Any] | None:
    try:
        return _described_refresh(knowledge_base)
    except StateFormatError:
        return None  # of another version, or damaged; the next refresh replaces it


def _described_refresh(knowledge_base: KnowledgeBase) -> dict[str, Any] | None:
    raw = knowledge_base.artifacts.latest("raw_documents")
    deduped = knowledge_base.artifacts.latest("deduped_documents")
    evaluated = knowledge_base.artifacts.latest("eval_report")
    if raw is None:
        return None
    result: dict[str, Any] = {
        "refresh_id": raw.header.refresh_id,
        "at": raw.header.created_at,
        "last_step": _last_step(knowledge_base.artifacts, raw.header.refresh_id),
        "unreadable_sources": raw.details["unreadable_sources"],
        "changes": None,
        "num_near_duplicates": None,
        "quarantined": [
            {
                "document_id": row["document_id"],
                "reason": row["quarantine_reason"],
                "detail": row["quarantine_detail"],
                "last_good_version_served": False,
            }
            for row in raw.rows()
            if row["quarantine_reason"]
        ],
        "evaluation": None,
    }
    if deduped is not None and deduped.header.refresh_id == raw.header.refresh_id:
        changes = [change_from_row(row) for row in deduped.rows()]
        result["changes"] = count_changes(changes)
        groups = deduped.details.get("near_duplicates", [])
        result["num_near_duplicates"] = sum(len(group["document_ids"]) for group in groups)
        served = {
            change.document_id for change in changes if change.quarantine_reason and change.content_hash
        }
        for entry in result["quarantined"]:
            entry["last_good_version_served"] = entry["document_id"] in served
    if evaluated is not None and evaluated.header.refresh_id == raw.header.refresh_id:
        report = report_from(evaluated)
        verdict = judge(report, report.verdict_configuration["eval_threshold"])
        result["evaluation"] = {
            "gate_passed": verdict.passed,
            "verdict": str(verdict),
            "worst_queries": [
                {
                    "query": query.query,
                    "recall_at_5": query.recall_at_5,
                    "expected_docs": list(query.expected_docs),
                    "retrieved": list(query.retrieved[:5]),
                }
                for query in worst_queries(report)[:_WORST_QUERIES]
            ],
            "generation": report.generation,
            "num_queries": len(report.queries),
            "recall_at_5": report.scores.recall_at_5 if report.scores else None,
            "mrr": report.scores.means["mrr"] if report.scores else None,
            "ndcg_at_10": report.scores.means["ndcg_at_10"] if report.scores else None,
            "problems": list(report.problems),
        }
    return result


def _last_step(artifacts: ArtifactStore, refresh_id: str) -> str:
    found = {step: artifacts.latest(step) for step in _STEPS}
    return [step for step, one in found.items() if one and one.header.refresh_id == refresh_id][-1]


def _is_unfinished(report: dict[str, Any]) -> bool:
    """Whether the last refresh is not live and nothing says why: killed, rolled back, or only some assets were asked for."""
    last, production = report["last_refresh"], report["production"]
    if report["live_refresh"] or report["last_failure"] or report["held_generation"]:
        return False
    evaluation = last["evaluation"]
    if evaluation is None:
        return True
    return evaluation["gate_passed"] and evaluation["generation"] != (production and production["generation"])


def describe(report: dict[str, Any]) -> str:
    """Return the status for a person."""
    lines: list[str] = []
    production = report["production"]
    if production is None:
        lines.append(
            "production     nothing yet: dagster asset materialize -m rag_assets.definitions --select '*'"
        )
    elif production["problem"]:
        lines.append(f"DAMAGED        {production['problem']}")
    else:
        lines.append(f"production     {production['generation']}, sealed {production['sealed_at']}")
        lines.append(
            f"               {production['num_documents']} documents, {production['num_points']} chunks, "
            f"model {production['embedding_model']}"
        )
    lines.append(f"previous       {report['previous_generation'] or 'none'}")
    if report["held_generation"]:
        lines.append(
            f"HELD           rolled back from {report['held_generation']}; lift with `rag-assets resume`"
        )
    if report["live_refresh"]:
        lines.append(f"refreshing     run {report['live_refresh']}")
    lines.extend(unconfigured_lines(report["unconfigured_sources"]))
    last, failure = report["last_refresh"], report["last_failure"]
    if failure is not None:
        lines.append(f"FAILED         {failure['step']}, {failure['at']}: {failure['message']}")
    if last is not None:
        lines.append(f"last refresh   {last['refresh_id']}, {last['at']}")
        if last["changes"]:
            counts = ", ".join(f"{count} {name[4:]}" for name, count in last["changes"].items() if count)
            lines.append(f"               {counts or 'no documents'}")
        if last["num_near_duplicates"]:
            lines.append(f"               {last['num_near_duplicates']} say nearly the same as another")
        evaluation = last["evaluation"]
        if _is_unfinished(report):
            if evaluation is None:
                lines.append(f"UNFINISHED     nothing of it went live, it came as far as {last['last_step']}")
            else:  # or it was, and was rolled back
                lines.append(f"NOT LIVE       {evaluation['generation']} passed, and is not in production")
        if evaluation and not evaluation["gate_passed"]:
            lines.append(f"GATE FAILED    {evaluation['verdict']}")
            for query in evaluation["worst_queries"]:
                lines.append(f"               Recall@5 {query['recall_at_5']:.2f}  {query['query']}")
                lines.append(f"                 expected {', '.join(query['expected_docs'])}")
                lines.append(f"                 found    {', '.join(query['retrieved'][:3])}")
        if evaluation and evaluation["recall_at_5"] is not None:
            lines.append(
                f"               Recall@5 {evaluation['recall_at_5']:.3f}, MRR {evaluation['mrr']:.3f}, "
                f"nDCG@10 {evaluation['ndcg_at_10']:.3f} over {evaluation['num_queries']} questions"
            )
        lines.extend(degraded_lines(last["unreadable_sources"]))
        for entry in last["quarantined"]:
            served = "; its last good version is served" if entry["last_good_version_served"] else ""
            lines.append(
                f"quarantined    {entry['document_id']}: {entry['reason']}, {entry['detail']}{served}"
            )
    return "\n".join(lines)
