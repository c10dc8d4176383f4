"""What a record adds to the totals of the metrics. Plain data in, plain data out.

A series is the name of its metric, then its labels as JSON: `rag_refreshes{"outcome": "live"}`. A class of a histogram is
a series with the label `le`, and not cumulative. The sum of a histogram has the label `le` `sum`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rag_assets.tracking.records import DIED, Row, Rows

_PLAIN = {
    "rag_documents_extracted": ("num_parsed",),
    "rag_documents_deduplicated_new": ("num_added", "num_updated"),
    "rag_documents_deduplicated_skipped": ("num_unchanged", "num_moved", "num_duplicate", "num_omitted"),
    "rag_chunks_created": ("num_chunks",),
    "rag_chunks_embedded": ("num_embedded",),
    "rag_chunks_cached": ("num_cached",),
    "rag_points_upserted": ("num_points_added",),
    "rag_upsert_seconds": ("upsert_seconds",),
}
"""Metric -> columns of `rag_refreshes` in its total."""
_LATENCIES = {
    "rag_extraction_latency_seconds": "extraction_latency",
    "rag_embedding_latency_seconds": "embedding_latency",
}
_SAVED = (
    ("rag_tokens_saved", "cache", "cached_tokens"),
    ("rag_tokens_saved", "deduplication", "kept_tokens"),
    ("rag_usd_saved", "cache", "usd_saved_by_cache"),
    ("rag_usd_saved", "deduplication", "usd_saved_by_deduplication"),
)
_DECISIONS = {"promotion": "rag_promotions", "rollback": "rag_rollbacks"}


def series(name: str, **labels: str) -> str:
    """Return the key of a series."""
    return name + json.dumps(labels, sort_keys=True, ensure_ascii=False)


def parts(key: str) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a series."""
    name, brace, labels = key.partition("{")
    return name, json.loads(brace + labels)


def contributions(rows: Mapping[str, Iterable[Row]] | Rows) -> dict[str, float]:
    """Return series -> what these rows of one run, or of one decision, add to its total. No series with 0."""
    found: Counter[str] = Counter()
    for run in rows.get("rag_refreshes", ()):
        _add_run(found, run)
    for cost in rows.get("rag_costs", ()):
        labels = {"model": cost["model"], "purpose": cost["purpose"]}
        found[series("rag_embedding_tokens", **labels)] += cost["num_tokens"]
        if cost["cost_usd"] is None:
            found[series("rag_embedding_unpriced_tokens", **labels)] += cost["num_tokens"]
        else:
            found[series("rag_embedding_cost_usd", **labels)] += cost["cost_usd"]
    for decision in rows.get("rag_promotions", ()):
        if decision["kind"] in _DECISIONS:
            found[series(_DECISIONS[decision["kind"]])] += 1
    return {key: float(value) for key, value in found.items() if value > 0}


def _add_run(found: "Counter[str]", run: Row) -> None:
    outcome = run["outcome"]
    found[series("rag_refreshes", outcome=outcome)] += 1
    if outcome == "blocked":
        found[series("rag_gate_failures")] += 1
    if outcome == DIED:
        found[series("rag_died_runs")] += 1
    for name, columns in _PLAIN.items():
        found[series(name)] += sum(_number(run.get(column)) for column in columns)
    for name, by, column in _SAVED:
        found[series(name, by=by)] += _number(run.get(column))
    for name, column in _LATENCIES.items():
        for bound, count in (run.get(column) or {}).items():
            found[series(name, le=bound)] += count


def _number(value: Any) -> Any:
    return 0 if value is None else value
