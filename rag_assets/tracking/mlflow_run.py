"""The content of the MLflow run of one refresh: parameters, metrics, tags and files, from the record of the refresh.

Plain data. No document text: the questions are those of the benchmark, and documents are named by their ids.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rag_assets.tracking.evaluation_page import evaluation_page
from rag_assets.tracking.records import DIED, PARTIAL, SUCCESSES, Record, Row

RUN_TAG = "dagster_run_id"
"""Identifies the refresh: at most one MLflow run of an experiment has its value. dagster-mlflow sets it too."""
OUTCOME_TAG = "outcome"
COMPLETE_TAG = "is_complete"
"""Set last. A run without it was interrupted while it was sent."""
RUN_NAME_TAG, NOTE_TAG = "mlflow.runName", "mlflow.note.content"
_SCORES = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")
_MAX_CHARACTERS = 4_000
"""MLflow takes 6,000 in a parameter and 8,000 in a tag."""


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """One run, as it is sent.

    Attributes:
        record_id: the run in Dagster.
        started_at, ended_at: milliseconds since the epoch.
        status: of MLflow: FINISHED, FAILED or KILLED.
        files: name -> text.
    """

    record_id: str
    name: str
    status: str
    started_at: int
    ended_at: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, str]


def mlflow_run(record: Record, knowledge_base: str, dagster_url: str = "") -> MlflowRun:
    """Return the MLflow run of a refresh.

    Args:
        record: of a run.
        knowledge_base: its name.
        dagster_url: address of the UI of Dagster, "" for no link.
    """
    [run] = record.rows["rag_refreshes"]
    evaluations = {row["subject"]: row for row in record.rows.get("rag_evaluations", ())}
    questions = record.rows.get("rag_evaluation_questions", [])
    costs = record.rows.get("rag_costs", [])
    candidate = evaluations.get("candidate", {})
    ended_at = _milliseconds(run["ended_at"])
    started_at = _milliseconds(run["started_at"]) if run.get("started_at") else ended_at
    tags = _tags(record, run, costs, knowledge_base)
    if dagster_url:
        tags["dagster_run_url"] = f"{dagster_url.rstrip('/')}/runs/{record.id}"
    tags[NOTE_TAG] = _note(tags)
    return MlflowRun(
        record_id=record.id,
        name=tags[RUN_NAME_TAG],
        status=_status(record.outcome),
        started_at=started_at,
        ended_at=ended_at,
        params=_params(record, run, candidate),
        metrics=_metrics(run, evaluations, questions, costs, (ended_at - started_at) / 1000),
        tags=tags,
        files=_files(run, evaluations, questions),
    )


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _status(outcome: str) -> str:
    if outcome in (*SUCCESSES, PARTIAL):
        return "FINISHED"
    return "KILLED" if outcome in ("canceled", DIED) else "FAILED"


def _params(record: Record, run: Row, candidate: Row) -> dict[str, str]:
    sources = ", ".join(row["source"] for row in record.rows.get("rag_refresh_sources", ()))
    given = record.parameters
    params: dict[str, Any] = {
        **{
            name: given.get(name)
            for name in ("chunk_size", "chunk_overlap", "chunker", "tokenizer", "embedding_model")
        },
        "sources": sources or given.get("sources"),
        "fingerprint": given.get("index_fingerprint"),
        "generation": run.get("candidate"),
        "benchmark_hash": candidate.get("benchmark_hash"),
        "threshold": candidate.get("eval_threshold", given.get("eval_threshold")),
    }
    return {name: str(value)[:_MAX_CHARACTERS] for name, value in params.items() if value not in (None, "")}


def _metrics(
    run: Row, evaluations: Mapping[str, Row], questions: list[Row], costs: list[Row], seconds: float
) -> dict[str, float]:
    candidate, production = evaluations.get("candidate", {}), evaluations.get("production", {})
    latencies = [row["latency_seconds"] for row in questions]
    metrics: dict[str, Any] = {
        "documents_processed": run.get("num_listed"),
        "chunks_created": run.get("num_chunks"),
        **{name: candidate.get(name) for name in _SCORES},
        **{f"production_{name}": production.get(name) for name in _SCORES},
        "avg_query_latency_ms": 1000 * sum(latencies) / len(latencies) if latencies else None,
        "tokens": sum(row["num_tokens"] for row in costs),
        "cost_usd": None if _has_unknown_cost(costs) else sum(row["cost_usd"] or 0.0 for row in costs),
        "duration_seconds": seconds,
        **{name: value for name, value in run.items() if name.startswith("num_")},
    }
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _has_unknown_cost(costs: Iterable[Row]) -> bool:
    return any(row["cost_usd"] is None and row["num_tokens"] for row in costs)


def _tags(record: Record, run: Row, costs: list[Row], knowledge_base: str) -> dict[str, str]:
    tags = {
        RUN_TAG: record.id,
        RUN_NAME_TAG: f"{record.outcome} {record.id[:8]}",
        OUTCOME_TAG: record.outcome,
        "knowledge_base": knowledge_base,
        "refresh_id": run.get("refresh_id"),
        "step": run.get("step"),
        "reason": run.get("reason"),
        "generation": run.get("candidate"),
        "production_before": run.get("production_before"),
        "production_after": run.get("production_after"),
        "cost_usd": "unknown" if _has_unknown_cost(costs) else "",
    }
    return {name: str(value)[:_MAX_CHARACTERS] for name, value in tags.items() if value}


def _note(tags: Mapping[str, str]) -> str:
    """Return the description of the run, in Markdown."""
    lines = [f"**{tags[OUTCOME_TAG]}**, knowledge base {tags['knowledge_base']}"]
    if reason := tags.get("reason"):
        # As code: a reason may have characters of Markdown.
        lines.append("\n".join(["```", reason.replace("```", "'''"), "```"]))
    if url := tags.get("dagster_run_url"):
        lines.append(f"[Run in Dagster]({url})")
    return "\n\n".join(lines)


def _files(run: Row, evaluations: Mapping[str, Row], questions: list[Row]) -> dict[str, str]:
    if not evaluations:
        return {}
    asked = [{"query": row["question"], "expected_docs": row["expected_documents"]} for row in questions]
    own = ("run_id", "subject")
    results = {
        "run_id": run["run_id"],
        "generation": run.get("candidate"),
        **{
            subject: {name: value for name, value in row.items() if name not in own}
            for subject, row in evaluations.items()
        },
        "questions": [{name: value for name, value in row.items() if name not in own} for row in questions],
    }
    return {
        "benchmark_queries.json": _json(asked),
        "eval_results.json": _json(results),
        "report.html": evaluation_page(run, evaluations, questions),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
