"""Production, the last refresh, and everything in need of attention. The form of `status --json` is stable."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rag_assets.artifacts.decisions import DecisionLog
from rag_assets.artifacts.last_outcome import OutcomeRecord
from rag_assets.artifacts.rows import change_from_row, report_from
from rag_assets.artifacts.store import Artifact, ArtifactStore
from rag_assets.changes.change_set import count_changes
from rag_assets.effective_settings import OVERRIDES, names_of
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.errors import MENDED_BY_REBUILD, StateFormatError
from rag_assets.evaluation.gate import judge
from rag_assets.evaluation.report import worst_queries
from rag_assets.generations.verification import check_sealed
from rag_assets.inspection.holds import described_hold, hold_lines, outcome_line
from rag_assets.inspection.lines import (
    degraded_lines,
    ignored_lines,
    knowledge_base_line,
    labeled,
    metadata_lines,
    quarantined_text,
    skipped_lines,
    unconfigured_lines,
    unsettled_entries,
    unsettled_lines,
)
from rag_assets.inspection.pending_approvals import message_now, pending_approvals, pending_lines
from rag_assets.inspection.purges import described_purges, purge_lines
from rag_assets.inspection.read_only import go_on_without_ledger
from rag_assets.inspection.settings import (
    differing_lines,
    differing_settings,
    override_lines,
    recorded_overrides,
)
from rag_assets.inspection.settled import refused_rows, settled, settled_rows
from rag_assets.inspection.unconfigured_sources import ignored_sources, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.refresh.outcome import Outcome
from rag_assets.text.wording import counted
from rag_assets.tracking.mlflow_observer import mlflow_lag_in_words
from rag_assets.tracking.observer import Observer, lag_in_words
from rag_assets.tracking.outbox import Lag

_WORST_QUERIES = 5
_WORST_SLICES = 5
_STEPS = ("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection", "eval_report")
"""The assets with an artifact, in order."""


def status(knowledge_base: KnowledgeBase) -> dict[str, Any]:
    """Return the state of a knowledge base as JSON-compatible data. The keys are documented in docs/cli.md."""
    state = knowledge_base.vector_store.production_state()
    ledger_problem = go_on_without_ledger(knowledge_base)
    holder = live_holder(knowledge_base.ledger)
    failure, folder = knowledge_base.failures.get(), knowledge_base.failures.folder
    outcome, observer = OutcomeRecord(folder).get(), Observer(knowledge_base)
    lag, mlflow_lag = observer.lag(), observer.mlflow.lag()
    return {
        "knowledge_base": names_of(knowledge_base.settings),
        "production": _production(knowledge_base, state.production),
        "previous_generation": state.previous,
        **described_hold(state),
        "ledger_problem": ledger_problem,
        "live_refresh": None if holder is None else holder.owner,
        "model_check": _model_check(knowledge_base),
        "last_failure": None if failure is None else asdict(failure),
        "last_outcome": None if outcome is None else asdict(outcome),
        "decisions": [asdict(one) for one in DecisionLog(folder).last()],
        "unconfigured_sources": unconfigured_sources(
            # From the ledger only. If it was lost, every point would have to be read.
            knowledge_base.settings,
            knowledge_base.ledger.documents(state.production or "") or (),
        ),
        "ignored_sources": ignored_sources(knowledge_base.settings),
        "purged": described_purges(knowledge_base),
        "pending_approvals": pending_approvals(knowledge_base),
        "metadata_tables": None if lag is None else asdict(lag),
        "mlflow": None if mlflow_lag is None else asdict(mlflow_lag),
        "last_refresh": _last_refresh(knowledge_base),
    }


def _production(knowledge_base: KnowledgeBase, generation: str | None) -> dict[str, Any] | None:
    if generation is None:
        return None
    manifest, problem = None, ""
    try:
        manifest = knowledge_base.production_manifest()
        if manifest is not None:
            check_sealed(knowledge_base.vector_store, manifest, "quick")
    except MENDED_BY_REBUILD as error:
        problem = str(error)
    return {
        "generation": generation,
        "refresh_id": manifest and manifest.refresh_id,
        "num_documents": manifest and manifest.documents_count,
        "num_points": manifest and manifest.points_count,
        "embedding_model": manifest and recorded_model(manifest).model,
        "sealed_at": manifest and manifest.sealed_at,
        "digest": manifest and manifest.digest,
        "differing_settings": differing_settings(manifest, knowledge_base.settings) if manifest else [],
        "problem": problem,
    }


def _model_check(knowledge_base: KnowledgeBase) -> dict[str, Any] | None:
    check = knowledge_base.model_record.get()
    if check is None:
        return None
    return {
        "at": check.at,
        "verified_at": check.verified_at or None,
        "outcome": check.outcome,
        "detail": check.detail,
        "num_tokens": check.tokens,
    }


def _last_refresh(knowledge_base: KnowledgeBase) -> dict[str, Any] | None:
    try:
        return _described_refresh(knowledge_base)
    except StateFormatError:
        return None  # written by another version, or damaged; the next refresh replaces it


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
        OVERRIDES: recorded_overrides(raw),
        "unreadable_sources": raw.details["unreadable_sources"],
        "skipped_files": raw.details.get("skipped_files", {}),
        "metadata_left_out": raw.details.get("metadata_left_out", {}),
        "unsettled": _unsettled(knowledge_base, raw),
        "changes": None,
        "num_near_duplicates": None,
        "quarantined": _quarantined(knowledge_base, raw),
        "evaluation": None,
    }
    if deduped is not None and deduped.header.refresh_id == raw.header.refresh_id:
        staged = knowledge_base.artifacts.latest("staging_collection")
        rows = settled(deduped.rows(), settled_rows(staged, raw.header.refresh_id))
        result["changes"] = count_changes([change_from_row(row) for row in rows])
        groups = deduped.details.get("near_duplicates", [])
        result["num_near_duplicates"] = sum(len(group["document_ids"]) for group in groups)
    if evaluated is not None and evaluated.header.refresh_id == raw.header.refresh_id:
        report = report_from(evaluated)
        verdict = judge(report, report.verdict_configuration["eval_threshold"])
        result["evaluation"] = {
            "gate_passed": verdict.passed,
            "verdict": verdict.reason,
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
            "num_queries": len(report.counted),
            "recall_at_5": report.scores.recall_at_5 if report.scores else None,
            "mrr": report.scores.means["mrr"] if report.scores else None,
            "ndcg_at_10": report.scores.means["ndcg_at_10"] if report.scores else None,
            "problems": list(report.problems),
            "slice_by": evaluated.details.get("slice_by", ""),
            "slices": evaluated.details.get("slices", []),
        }
    return result


def _unsettled(knowledge_base: KnowledgeBase, raw: Artifact) -> list[dict[str, Any]]:
    found = raw.details.get("unsettled", [])
    return unsettled_entries(found, knowledge_base.served_documents() if found else {})


def _quarantined(knowledge_base: KnowledgeBase, raw: Artifact) -> list[dict[str, Any]]:
    rows = [row for row in raw.rows() if row["quarantine_reason"]]
    rows += refused_rows(knowledge_base.artifacts.latest("staging_collection"), raw.header.refresh_id)
    served = knowledge_base.served_documents() if rows else {}
    return [
        {
            "document_id": row["document_id"],
            "reason": row["quarantine_reason"],
            "detail": row["quarantine_detail"],
            "last_good_version_served": row["document_id"] in served,
        }
        for row in rows
    ]


def _last_step(artifacts: ArtifactStore, refresh_id: str) -> str:
    found = {step: artifacts.latest(step) for step in _STEPS}
    return [step for step, one in found.items() if one and one.header.refresh_id == refresh_id][-1]


def is_unfinished(report: Mapping[str, Any]) -> bool:
    """Whether the last refresh ended without a recorded outcome: killed, or run for some assets only."""
    last, production, outcome = report["last_refresh"], report["production"], report["last_outcome"]
    if report["live_refresh"] or report["last_failure"] or report["held_generation"]:
        return False
    evaluation = last["evaluation"]
    if evaluation is None:
        return outcome is None
    if outcome is not None and outcome["generation"] in ("", evaluation["generation"]):
        return False
    return evaluation["gate_passed"] and evaluation["generation"] != (production and production["generation"])


def _is_refusal(outcome: dict[str, Any] | None, failure: dict[str, Any]) -> bool:
    return (
        outcome is not None
        and outcome["outcome"] == Outcome.REFUSED
        and outcome["run_id"] == failure["run_id"]
    )


def describe(report: dict[str, Any]) -> str:
    """Return the status as text for a person."""
    lines = [knowledge_base_line(report), *_production_lines(report["production"])]
    lines.append(labeled("previous", report["previous_generation"] or "none"))
    lines.extend(hold_lines(report))
    if report["ledger_problem"]:
        lines.append(labeled("NO LEDGER", report["ledger_problem"]))
        lines.append(labeled("", "a running refresh, refusals and approvals are unknown; no refresh begins"))
    if report["live_refresh"]:
        lines.append(labeled("refreshing", f"run {report['live_refresh']}"))
    lines.extend(_model_lines(report["model_check"]))
    lines.extend(unconfigured_lines(report["unconfigured_sources"]))
    lines.extend(ignored_lines(report["ignored_sources"]))
    lines.extend(purge_lines(report["purged"]))
    failure = report["last_failure"]
    if failure is not None:
        label = "REFUSED" if _is_refusal(report["last_outcome"], failure) else "FAILED"
        message = message_now(failure["message"], report["pending_approvals"])
        lines.append(labeled(label, f"{failure['step']}, {failure['at']}: {message}"))
    if report["last_refresh"] is not None:
        lines.extend(_refresh_lines(report))
    if report["metadata_tables"] is not None:
        lines.append(labeled("TABLES LAG", lag_in_words(Lag(**report["metadata_tables"]))))
    if report["mlflow"] is not None:
        lines.append(labeled("MLFLOW LAG", mlflow_lag_in_words(Lag(**report["mlflow"]))))
    lines.extend(pending_lines(report["pending_approvals"], lines))
    return "\n".join(lines)


def _production_lines(production: dict[str, Any] | None) -> list[str]:
    if production is None:
        return [labeled("production", "nothing yet; run `rag-assets refresh`")]
    if production["problem"]:
        return [
            labeled("DAMAGED", production["problem"]),
            labeled("", "the next refresh builds all points again from kept texts and vectors"),
        ]
    documents, chunks = (
        counted(production["num_documents"], "document"),
        counted(production["num_points"], "chunk"),
    )
    return [
        labeled("production", f"{production['generation']}, sealed {production['sealed_at']}"),
        labeled("", f"{documents}, {chunks}, model {production['embedding_model']}"),
        *differing_lines(production["differing_settings"]),
    ]


def _model_lines(check: dict[str, Any] | None) -> list[str]:
    if check is None or not check["detail"]:
        return []
    if check["outcome"] != "unverified":
        label = {"changed": "MODEL CHANGED", "trusted": "trusted"}.get(check["outcome"], "model")
        return [labeled(label, f"{check['detail']} ({check['at']})")]
    last = f"last verified {check['verified_at']}" if check["verified_at"] else "never verified"
    return [labeled("NOT VERIFIED", f"{check['detail']} ({check['at']}, {last})")]


def _refresh_lines(report: dict[str, Any]) -> list[str]:
    last = report["last_refresh"]
    evaluation = last["evaluation"]
    lines = [labeled("last refresh", f"{last['refresh_id']}, {last['at']}"), *outcome_line(report)]
    if last["changes"]:
        counts = ", ".join(f"{count:,} {name[4:]}" for name, count in last["changes"].items() if count)
        lines.append(labeled("", counts or "no documents"))
    if last["num_near_duplicates"]:
        lines.append(labeled("", counted(last["num_near_duplicates"], "near-duplicate")))
    lines.extend(override_lines(last[OVERRIDES]))
    if is_unfinished(report):
        if evaluation is None:
            lines.append(labeled("UNFINISHED", f"last step {last['last_step']}; nothing of it went live"))
        else:  # or it did, and was rolled back
            lines.append(
                labeled("NOT LIVE", f"{evaluation['generation']} passed the gate but is not in production")
            )
    if evaluation and not evaluation["gate_passed"]:
        lines.append(labeled("GATE FAILED", evaluation["verdict"]))
        for query in evaluation["worst_queries"]:
            lines.append(labeled("", f"Recall@5 {query['recall_at_5']:.2f}  {query['query']}"))
            lines.append(labeled("", f"  expected {', '.join(query['expected_docs'])}"))
            lines.append(labeled("", f"  found    {', '.join(query['retrieved'][:3])}"))
    if evaluation and evaluation["recall_at_5"] is not None:
        lines.append(
            labeled(
                "",
                f"Recall@5 {evaluation['recall_at_5']:.3f}, MRR {evaluation['mrr']:.3f}, "
                f"nDCG@10 {evaluation['ndcg_at_10']:.3f} over {counted(evaluation['num_queries'], 'question')}",
            )
        )
        lines.extend(_slice_lines(evaluation))
    lines.extend(degraded_lines(last["unreadable_sources"]))
    lines.extend(skipped_lines(last["skipped_files"]))
    lines.extend(metadata_lines(last["metadata_left_out"]))
    lines.extend(unsettled_lines(last["unsettled"]))
    lines.extend(labeled("quarantined", quarantined_text(entry)) for entry in last["quarantined"])
    return lines


def _slice_lines(evaluation: dict[str, Any]) -> list[str]:
    """Return the worst values of the metadata key of the slices."""
    worst, more = evaluation["slices"][:_WORST_SLICES], len(evaluation["slices"]) - _WORST_SLICES
    lines = [
        labeled(
            "",
            f"Recall@5 {one['recall_at_5']:.3f}  {evaluation['slice_by']}={one['value']} "
            f"({counted(one['num_queries'], 'question')})",
        )
        for one in worst
    ]
    return [*lines, labeled("", f"and {more:,} more")] if more > 0 else lines
