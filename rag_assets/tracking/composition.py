"""A run or a decision as rows: from its notes, its artifacts, the ledger and the vector store."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rag_assets.artifacts.rows import report_from
from rag_assets.errors import RagAssetsError
from rag_assets.evaluation.gate import Verdict, judge
from rag_assets.evaluation.report import EvalReport, Scores
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Purpose, Spending
from rag_assets.time_limits import NothingCame, within
from rag_assets.tracking.records import DIED, INCIDENTS, Record, Row, Rows, now
from rag_assets.tracking.run_notes import RunNote
from rag_assets.tracking.run_parameters import run_parameters

_STORE_SECONDS = 5.0
"""Time to ask the vector store for production. If it is down, the run has failed, and this is only for the record."""

NOTED = {
    "raw_documents": {
        "num_documents": "num_listed",
        **{
            name: name
            for name in (
                "num_read",
                "num_parsed",
                "num_quarantined",
                "num_unreadable_sources",
                "num_skipped_files",
            )
        },
        "num_tokens": "media_tokens",
        "cost_usd": "media_usd",
        "num_probe_tokens": "probe_tokens",
        "num_left_out": "num_left_out",
        "latency": "extraction_latency",
    },
    "deduped_documents": {
        **{
            f"num_{kind}": f"num_{kind}"
            for kind in ("added", "updated", "moved", "duplicate", "unchanged", "deleted", "omitted")
        },
        **{name: name for name in ("num_near_duplicates", "num_contents_changed")},
        "full_rebuild": "is_full_rebuild",
    },
    "chunks": {
        "num_chunks": "num_chunks",
        "num_tokens": "num_chunk_tokens",
        "num_flagged_chunks": "num_flagged_chunks",
    },
    "embeddings": {
        **{name: name for name in ("num_texts", "num_cached", "num_embedded", "num_refused")},
        "num_tokens": "embedded_tokens",
        "cost_usd": "embedded_usd",
        "embedding_model": "embedding_model",
        "cached_tokens": "cached_tokens",
        "usd_saved": "usd_saved_by_cache",
        "latency": "embedding_latency",
    },
    "staging_collection": {
        **{name: name for name in ("num_points_added", "num_points_deleted", "num_points_relocated")},
        "kept_tokens": "kept_tokens",
        "usd_saved": "usd_saved_by_deduplication",
        "upsert_seconds": "upsert_seconds",
    },
}
"""Step -> key in its metadata -> name in its note. The names of columns are those of `rag_refreshes`."""
_NOT_COLUMNS = (
    "media_tokens",
    "media_usd",
    "probe_tokens",
    "embedded_tokens",
    "embedded_usd",
    "embedding_model",
)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run.

    Attributes:
        outcome: a value of `rag_assets.refresh.outcome.Outcome`, or `died` or `partial`.
        step: the last one, "" if it did not get to one.
        generation: the candidate, "" for none.
        reason: "" after a success.
    """

    run_id: str
    outcome: str
    step: str = ""
    generation: str = ""
    reason: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class _Production:
    generation: str | None = None
    documents_count: int | None = None
    points_count: int | None = None
    run_id: str = ""


def run_record(
    knowledge_base: KnowledgeBase, end: RunEnd, note: RunNote | None, spending: Iterable[Spending]
) -> Record:
    """Return the record of a run after its end.

    Args:
        note: None if another machine has it.
        spending: of the run, from the ledger.
    """
    at = end.at or now()
    numbers: dict[str, Any] = {}
    for step in note.steps.values() if note else ():
        numbers |= step.numbers
    production, report = _production(knowledge_base), _report(knowledge_base, end.run_id)
    before, refresh_id = _begin(knowledge_base, end.run_id)
    verdict = judge(report, report.verdict_configuration["eval_threshold"]) if report else None
    run: Row = {
        **{name: value for name, value in numbers.items() if name not in _NOT_COLUMNS},
        "run_id": end.run_id,
        "refresh_id": refresh_id,
        "started_at": note.started_at if note else None,
        "ended_at": at,
        "outcome": end.outcome,
        "step": end.step,
        "reason": end.reason,
        "candidate": end.generation or (report.generation if report else None),
        "production_before": before,
        "production_after": production.generation,
        "num_documents": production.documents_count,
        "num_points": production.points_count,
    }
    rows: Rows = {
        "rag_refreshes": [run],
        "rag_refresh_steps": _steps(end.run_id, note),
        "rag_refresh_sources": _sources(knowledge_base, end.run_id),
        "rag_costs": _costs(end.run_id, spending, numbers),
    }
    if report is not None and verdict is not None:
        rows["rag_evaluations"] = _evaluations(end.run_id, report, before, verdict)
        rows["rag_evaluation_questions"] = _questions(end.run_id, report)
    # A process may die between the promotion and its record.
    promoted = end.outcome == "live" or (end.outcome == DIED and production.run_id == end.run_id)
    if promoted and production.generation != before:
        rows["rag_promotions"] = [
            {
                "event_id": end.run_id,
                "kind": "promotion",
                "decided_at": at,
                "decided_by": "",
                "reason": "",
                "subject": production.generation or end.generation,
                "generation_before": before,
                "generation_after": production.generation or end.generation,
                "run_id": end.run_id,
            }
        ]
    if end.outcome in INCIDENTS:
        scores = report.scores if report else None
        rows["rag_incidents"] = [
            {
                "run_id": end.run_id,
                "kind": end.outcome,
                "step": end.step,
                "reason": end.reason,
                "recall_at_5": scores.recall_at_5 if scores else None,
                "eval_threshold": report.verdict_configuration["eval_threshold"] if report else None,
                "occurred_at": at,
                "resolved_at": None,
            }
        ]
    parameters = run_parameters(knowledge_base, end.run_id, end.outcome)
    return Record("run", end.run_id, at, rows, parameters=parameters)


def decision_record(
    event_id: str,
    kind: str,
    *,
    by: str,
    reason: str,
    subject: str,
    before: str | None = None,
    after: str | None = None,
) -> Record:
    """Return the record of a decision of a person: `rollback`, `resume`, `approve` and others to come."""
    at = now()
    row: Row = {
        "event_id": event_id,
        "kind": kind,
        "decided_at": at,
        "decided_by": by,
        "reason": reason,
        "subject": subject,
        "generation_before": before,
        "generation_after": after,
        "run_id": None,
    }
    return Record("decision", event_id, at, {"rag_promotions": [row]})


def _production(knowledge_base: KnowledgeBase) -> _Production:
    def ask() -> _Production:
        generation = knowledge_base.vector_store.production_state().production
        manifest = knowledge_base.vector_store.manifest(generation) if generation else None
        if manifest is None:
            return _Production(generation)
        return _Production(generation, manifest.documents_count, manifest.points_count, manifest.run_id)

    try:
        return within(_STORE_SECONDS, ask)
    except (RagAssetsError, NothingCame):
        return _Production()


def _report(knowledge_base: KnowledgeBase, run_id: str) -> EvalReport | None:
    """Return the report made by this run."""
    with suppress(RagAssetsError, OSError):
        artifact = knowledge_base.artifacts.latest("eval_report", [run_id])
        if artifact is not None and artifact.header.run_id == run_id:
            return report_from(artifact)
    return None


def _begin(knowledge_base: KnowledgeBase, run_id: str) -> tuple[str | None, str | None]:
    """Return the generation in production when the run began, and its refresh id, from its first artifact."""
    for asset in ("raw_documents", "deduped_documents", "staging_collection", "eval_report"):
        with suppress(RagAssetsError, OSError):
            artifact = knowledge_base.artifacts.latest(asset, [run_id])
            if artifact is not None and artifact.header.run_id == run_id:
                return artifact.header.base, artifact.header.refresh_id
    return None, None


def _steps(run_id: str, note: RunNote | None) -> list[Row]:
    return [
        {
            "run_id": run_id,
            "step": step,
            "started_at": found.started_at,
            "duration_seconds": found.duration_seconds,
        }
        for step, found in (note.steps if note else {}).items()
    ]


def _sources(knowledge_base: KnowledgeBase, run_id: str) -> list[Row]:
    with suppress(RagAssetsError, OSError):
        raw = knowledge_base.artifacts.latest("raw_documents", [run_id])
        if raw is not None and raw.header.run_id == run_id:
            problems: dict[str, str] = raw.details["unreadable_sources"]
            complete = set(raw.details["complete_sources"])
            return [
                {
                    "run_id": run_id,
                    "source": name,
                    "is_complete": name in complete,
                    "problem": problems.get(name, ""),
                }
                for name in sorted(complete | problems.keys())
            ]
    return []


def _costs(run_id: str, spending: Iterable[Spending], numbers: dict[str, Any]) -> list[Row]:
    """Return the spending of a run: from the ledger, and from the results of its steps where the ledger was lost."""
    found = list(spending)
    told: dict[Purpose, tuple[int, object]] = {
        "documents": (numbers.get("embedded_tokens", 0), numbers.get("embedded_usd", 0.0)),
        "media": (numbers.get("media_tokens", 0), numbers.get("media_usd", 0.0)),
        "probe": (numbers.get("probe_tokens", 0), None),
    }
    for purpose, (tokens, usd) in told.items():
        counted_tokens = sum(one.tokens for one in found if one.purpose == purpose)
        if tokens > counted_tokens or (isinstance(usd, float) and usd > 0 and not counted_tokens):
            model = numbers.get("embedding_model", "") if purpose != "media" else "unknown"
            found = [one for one in found if one.purpose != purpose]
            known_usd = float(usd) if isinstance(usd, int | float) else None
            found.append(Spending(purpose, str(model) or "unknown", tokens, known_usd))
    return [
        {
            "run_id": run_id,
            "purpose": one.purpose,
            "model": one.model,
            "num_tokens": one.tokens,
            "cost_usd": one.usd,
        }
        for one in found
    ]


def _evaluations(run_id: str, report: EvalReport, before: str | None, verdict: Verdict) -> list[Row]:
    shared = {
        "run_id": run_id,
        "benchmark_hash": report.verdict_configuration.get("benchmark"),
        "num_questions": len(report.counted),
    }
    candidate = shared | {
        "subject": "candidate",
        "generation": report.generation,
        "eval_threshold": report.verdict_configuration["eval_threshold"],
        "is_passed": verdict.passed,
        "verdict": str(verdict),
        "num_missing_documents": len({name for query in report.queries for name in query.missing_docs}),
        **_scores(report.scores),
    }
    rows = [candidate]
    if report.production_scores is not None:
        rows.append(
            shared | {"subject": "production", "generation": before, **_scores(report.production_scores)}
        )
    return rows


def _scores(scores: Scores | None) -> Row:
    if scores is None:
        return {}
    return {
        **_metrics(scores.means),
        "recall_at_5_standard_error": scores.recall_at_5_standard_error,
        "latency_p50_seconds": scores.latency_p50_seconds,
        "latency_p95_seconds": scores.latency_p95_seconds,
        "latency_p99_seconds": scores.latency_p99_seconds,
    }


def _questions(run_id: str, report: EvalReport) -> list[Row]:
    return [
        {
            "run_id": run_id,
            "position": position,
            "question": query.query,
            "expected_documents": list(query.expected_docs),
            "retrieved_documents": list(query.retrieved),
            "missing_documents": list(query.missing_docs),
            **_metrics(query.metrics),
            "production_recall_at_5": query.production_recall_at_5,
            "latency_seconds": query.latency_seconds,
        }
        for position, query in enumerate(report.queries, start=1)
    ]


def _metrics(values: Mapping[str, float]) -> Row:
    """Return the metrics with a column. The uncapped recall has none: it differs for few benchmarks."""
    return {name: value for name, value in values.items() if name != "recall_at_5_uncapped"}
