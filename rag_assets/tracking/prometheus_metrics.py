"""Every exported metric: name, kind, labels and help. docs/metrics.md is rendered from this file.

The label `knowledge_base` of every series is not repeated here. All other labels have values of a fixed set, or names in the
configuration: never a run, a document or a text. Prometheus adds `_total` to the names of counters.
"""

from dataclasses import dataclass
from typing import Literal

from rag_assets.tracking.records import DIED, PARTIAL

KNOWLEDGE_BASE = "knowledge_base"
OUTCOMES = (
    *("live", "unchanged", "held", "superseded", "blocked", "refused", "failed", "canceled"),
    *(DIED, PARTIAL),
)
"""All values of `rag_refreshes.outcome`."""
PURPOSES = ("documents", "media", "probe", "questions")
SAVED_BY = ("deduplication", "cache")
LEFT_OUT_FOR = ("no_parser", "no_model")
SUBJECTS = ("candidate", "production")
QUANTILES = ("0.5", "0.95", "0.99")


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of series.

    Attributes:
        labels: beside `knowledge_base`.
        help: one sentence without a full stop.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exported_name(self) -> str:
        """The name in queries. Of a histogram, the one before `_bucket`, `_sum` and `_count`."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, labels)


METRICS_UP = _gauge(
    "rag_metrics_up", "1 if the metadata tables answered this scrape. If 0, no other series is there"
)

METRICS = (
    METRICS_UP,
    # Documents
    _counter(
        "rag_documents_extracted", "Documents parsed: new or changed bytes, with those quarantined afterwards"
    ),
    Metric(
        "rag_extraction_latency_seconds",
        "histogram",
        "Seconds to parse one document, without recordings and pictures",
    ),
    _counter("rag_documents_deduplicated_new", "Documents with new content: added or updated"),
    _counter(
        "rag_documents_deduplicated_skipped",
        "Documents without new content: unchanged, moved, duplicate or omitted",
    ),
    _gauge(
        "rag_deduplication_cache_hit_rate",
        "Share of documents without new content in the last refresh, 0 to 1",
    ),
    _gauge("rag_documents_quarantined", "Documents without usable text in the last reading"),
    _gauge(
        "rag_files_left_out",
        "Files not read in the last reading, without a parser or without a model",
        "reason",
    ),
    _gauge(
        "rag_source_complete",
        "1 if the last reading listed the whole source, 0 if a part was unreadable",
        "source",
    ),
    _gauge("rag_documents_per_minute", "Documents parsed per minute in the last refresh that parsed any"),
    # Chunks and embedding
    _counter("rag_chunks_created", "Chunks of new contents"),
    _counter("rag_chunks_embedded", "Distinct chunk texts sent to the model"),
    _counter("rag_chunks_cached", "Distinct chunk texts with a cached vector"),
    _gauge(
        "rag_chunks_per_minute",
        "Chunks cut, embedded and written per minute in the last refresh with new chunks",
    ),
    _counter("rag_embedding_tokens", "Billed tokens, by the model and the purpose", "model", "purpose"),
    _counter(
        "rag_embedding_cost_usd", "Cost in US dollars of the tokens with a known price", "model", "purpose"
    ),
    _counter(
        "rag_embedding_unpriced_tokens",
        "Billed tokens without a known price. The cost lacks them",
        "model",
        "purpose",
    ),
    Metric("rag_embedding_latency_seconds", "histogram", "Seconds of one request to the embedding model"),
    _counter(
        "rag_tokens_saved",
        "Tokens of kept points (deduplication) and of cached vectors (cache), not sent again",
        "by",
    ),
    _counter("rag_usd_saved", "Price in US dollars of the tokens saved, at the price of the model", "by"),
    # Vector store
    _counter("rag_points_upserted", "Points written into candidates"),
    _counter("rag_upsert_seconds", "Seconds spent on writing these points"),
    _gauge("rag_upsert_points_per_second", "Points written per second in the last refresh that wrote any"),
    _gauge("rag_production_documents", "Documents in production"),
    _gauge("rag_production_points", "Points in production, one per chunk"),
    _gauge(
        "rag_generation_timestamp_seconds",
        "Time of the promotion or rollback to the generation in production",
    ),
    # Quality
    *(
        _gauge(f"rag_eval_{score}", f"{words}, last measured, 0 to 1", "generation")
        for score, words in (
            *((f"recall_at_{k}", f"Share of the expected documents among the first {k}") for k in (1, 5, 10)),
            ("mrr", "Mean of 1 / rank of the first expected document, 0 below rank 10"),
            ("ndcg_at_10", "nDCG@10: closeness of the expected documents to the top"),
        )
    ),
    _gauge("rag_eval_threshold", "Minimum Recall@5 of a candidate, RAG_EVAL_THRESHOLD"),
    _gauge(
        "rag_eval_query_latency_ms", "Milliseconds of one search in the last measured candidate", "quantile"
    ),
    # Runs and decisions
    _counter("rag_refreshes", "Runs, by their outcome", "outcome"),
    _counter("rag_gate_failures", "Runs stopped by the gate: outcome blocked"),
    _counter("rag_died_runs", "Runs with a process that ended without a word: outcome died"),
    _counter("rag_promotions", "Candidates put into production"),
    _counter("rag_rollbacks", "Rollbacks by people"),
    _gauge("rag_last_outcome", "1 for the outcome of the last run, 0 for the others", "outcome"),
    _gauge("rag_last_run_timestamp_seconds", "Time of the end of the last run, 0 before the first"),
    _gauge(
        "rag_last_success_timestamp_seconds",
        "Time of the end of the last run that was live, unchanged or held, 0 before the first",
    ),
    _gauge("rag_last_run_duration_seconds", "Seconds from the begin to the end of the last run"),
    _gauge("rag_held", "1 while a person holds production after a rollback"),
    _gauge("rag_waiting_records", "Records of runs in the state folder that the tables lack"),
)

COUNTED = tuple(metric for metric in METRICS if metric.kind != "gauge")
"""Metrics with a total in `rag_metric_totals`."""
