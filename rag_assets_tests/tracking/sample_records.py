"""Short builders of records."""

from typing import Any

from rag_assets.tracking.composition import decision_record
from rag_assets.tracking.records import INCIDENTS, Record, Row, Rows


def at(minute: int) -> str:
    return f"2026-05-01T{minute // 60:02}:{minute % 60:02}:00.000000+00:00"


def run_record(
    run_id: str,
    minute: int,
    outcome: str = "live",
    *,
    questions: list[Row] | None = None,
    costs: list[Row] | None = None,
    reason: str = "",
    **columns: Any,
) -> Record:
    """Return the record of a run that ended at some minute."""
    run: Row = {
        "run_id": run_id,
        "ended_at": at(minute),
        "outcome": outcome,
        "step": "production_collection",
        "reason": reason,
        **columns,
    }
    rows: Rows = {
        "rag_refreshes": [run],
        "rag_costs": costs or [],
        "rag_evaluation_questions": questions or [],
    }
    if outcome == "live":
        rows["rag_promotions"] = [promotion(run_id, minute)]
    if outcome in INCIDENTS:
        rows["rag_incidents"] = [
            {
                "run_id": run_id,
                "kind": outcome,
                "step": "recall_gate",
                "reason": reason,
                "recall_at_5": 0.25,
                "eval_threshold": 0.75,
                "occurred_at": at(minute),
            }
        ]
    return Record("run", run_id, at(minute), rows)


def promotion(run_id: str, minute: int) -> Row:
    return {
        "event_id": run_id,
        "kind": "promotion",
        "decided_at": at(minute),
        "decided_by": "",
        "reason": "",
        "subject": f"g-{run_id}",
        "generation_after": f"g-{run_id}",
        "run_id": run_id,
    }


def cost(run_id: str, tokens: int, usd: float | None, model: str = "small") -> Row:
    return {
        "run_id": run_id,
        "purpose": "documents",
        "model": model,
        "num_tokens": tokens,
        "cost_usd": usd,
    }


def question(run_id: str, position: int, *retrieved: str, expected: str = "a.md") -> Row:
    return {
        "run_id": run_id,
        "position": position,
        "question": f"question {position}?",
        "expected_documents": [expected],
        "retrieved_documents": list(retrieved),
        "missing_documents": [],
        "recall_at_5": 1.0,
    }


def rollback(event_id: str = "rollback-1", reason: str = "wrong answers") -> Record:
    return decision_record(
        event_id, "rollback", by="Ada", reason=reason, subject="g2", before="g2", after="g1"
    )


def forget(document_id: str, *content_hashes: str) -> Record:
    return Record("forget", f"forget-{document_id}", at(0), {}, (document_id, *content_hashes))
