"""The state of the tables as families of Prometheus. No input or output here. Imports prometheus-client."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from rag_assets.latencies import BOUNDS_SECONDS, LARGEST, SUM
from rag_assets.tracking import prometheus_metrics as catalog
from rag_assets.tracking.contributions import parts
from rag_assets.tracking.metrics_state import MetricsState
from rag_assets.tracking.records import Row
from rag_assets.tracking.tables import SCORES

_SECONDS_PER_MINUTE = 60
Values = Mapping[tuple[str, ...], float]
"""Values of the labels of a family, in its order -> value."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration behind the labels, and the numbers that no run writes.

    Attributes:
        knowledge_base: `RAG_COLLECTION`.
        model: of the embeddings, "" if only a run finds out.
        num_waiting: records in the state folder, None if it cannot be read.
    """

    knowledge_base: str
    eval_threshold: float
    model: str = ""
    num_waiting: int | None = None


def families(state: MetricsState | None, configured: Configured) -> Iterator[Metric]:
    """Yield all families, in the order of the catalog.

    Args:
        state: None if the database does not answer. Then nothing is known, and a total of 0 would be a lie.
    """
    yield _gauge(catalog.METRICS_UP, {(): float(state is not None)}, configured)
    if state is None:
        return
    gauges = _gauges(state, configured)
    counted: defaultdict[str, dict[str, tuple[dict[str, str], float]]] = defaultdict(dict)
    for key, total in state.totals.items():
        name, labels = parts(key)
        counted[name][key] = labels, total
    for metric in catalog.METRICS:
        totals = list(counted[metric.name].values())
        if metric.kind == "counter":
            yield _counter(metric, totals, configured)
        elif metric.kind == "histogram":
            yield _histogram(metric, totals, configured)
        elif gauges.get(metric.name):
            yield _gauge(metric, gauges[metric.name], configured)


def _counter(
    metric: catalog.Metric, totals: Sequence[tuple[dict[str, str], float]], configured: Configured
) -> Metric:
    values = dict.fromkeys(_from_the_start(metric, configured), 0.0)
    values |= {tuple(labels[name] for name in metric.labels): total for labels, total in totals}
    family = CounterMetricFamily(metric.name, metric.help, labels=(catalog.KNOWLEDGE_BASE, *metric.labels))
    for labels, value in sorted(values.items()):
        family.add_metric((configured.knowledge_base, *labels), value)
    return family


def _from_the_start(metric: catalog.Metric, configured: Configured) -> list[tuple[str, ...]]:
    """Return the series that are there before the first run: the rate of a counter needs a value before its first rise."""
    match metric.labels:
        case ():
            return [()]
        case ("outcome",):
            return [(outcome,) for outcome in catalog.OUTCOMES]
        case ("by",):
            return [(by,) for by in catalog.SAVED_BY]
        case _ if configured.model:
            return [(configured.model, purpose) for purpose in catalog.PURPOSES if purpose != "media"]
        case _:
            return []


def _histogram(
    metric: catalog.Metric, totals: Sequence[tuple[dict[str, str], float]], configured: Configured
) -> Metric:
    counts = {labels["le"]: total for labels, total in totals}
    cumulative, buckets = 0.0, list[tuple[str, float]]()
    for bound in (*map(str, BOUNDS_SECONDS), LARGEST):
        cumulative += counts.get(bound, 0.0)
        buckets.append((bound, cumulative))
    family = HistogramMetricFamily(metric.name, metric.help, labels=(catalog.KNOWLEDGE_BASE,))
    family.add_metric((configured.knowledge_base,), buckets, counts.get(SUM, 0.0))
    return family


def _gauge(metric: catalog.Metric, values: Values, configured: Configured) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=(catalog.KNOWLEDGE_BASE, *metric.labels))
    for labels, value in values.items():
        family.add_metric((configured.knowledge_base, *labels), value)
    return family


def _gauges(state: MetricsState, configured: Configured) -> dict[str, Values]:
    """Return name of a gauge -> its values. One without a known value is missing."""
    plain: dict[str, float | None] = {
        "rag_eval_threshold": configured.eval_threshold,
        "rag_held": float(state.is_held),
        "rag_last_run_timestamp_seconds": _timestamp(state.last_run and state.last_run["ended_at"]) or 0.0,
        "rag_last_success_timestamp_seconds": _timestamp(state.last_success) or 0.0,
        "rag_last_run_duration_seconds": _duration(state.last_run),
        "rag_generation_timestamp_seconds": _timestamp(state.served_since),
        "rag_waiting_records": configured.num_waiting,
        **_speeds(state),
    }
    if (reading := state.last_reading) is not None:
        plain["rag_deduplication_cache_hit_rate"] = _hit_rate(reading)
        plain["rag_documents_quarantined"] = reading["num_quarantined"]
    if state.served is not None:
        plain["rag_production_documents"] = state.served["num_documents"]
        plain["rag_production_points"] = state.served["num_points"]
    found: dict[str, Values] = {
        name: {(): float(value)} for name, value in plain.items() if value is not None
    }
    if reading is not None:
        numbers = zip(catalog.LEFT_OUT_FOR, ("num_skipped_files", "num_left_out"), strict=True)
        found["rag_files_left_out"] = {(reason,): float(reading[name] or 0) for reason, name in numbers}
    found["rag_source_complete"] = {(name,): float(whole) for name, whole in sorted(state.sources.items())}
    if state.last_run is not None:
        found["rag_last_outcome"] = {
            (outcome,): float(outcome == state.last_run["outcome"]) for outcome in catalog.OUTCOMES
        }
    return found | _scores(state)


def _scores(state: MetricsState) -> dict[str, Values]:
    measured = [
        (subject, row)
        for subject, row in zip(catalog.SUBJECTS, (state.candidate, state.production), strict=True)
        if row is not None
    ]
    found: dict[str, Values] = {
        f"rag_eval_{score}": {(subject,): row[score] for subject, row in measured if row[score] is not None}
        for score in SCORES
    }
    if state.candidate is not None:
        found["rag_eval_query_latency_ms"] = {
            (quantile,): seconds * 1000
            for quantile in catalog.QUANTILES
            if (seconds := state.candidate[f"latency_p{float(quantile) * 100:.0f}_seconds"]) is not None
        }
    return found


def _speeds(state: MetricsState) -> dict[str, float | None]:
    """Return the gauges about the speed of the last refresh that did the work at all."""
    found: dict[str, float | None] = {}
    if (run := state.last_parsing) is not None:
        found["rag_documents_per_minute"] = _per_minute(run["num_parsed"], state, run, ("raw_documents",))
    if (run := state.last_chunking) is not None:
        steps = ("chunks", "embeddings", "staging_collection")
        found["rag_chunks_per_minute"] = _per_minute(run["num_chunks"], state, run, steps)
    if (run := state.last_upsert) is not None:
        found["rag_upsert_points_per_second"] = run["num_points_added"] / run["upsert_seconds"]
    return found


def _per_minute(count: int, state: MetricsState, run: Row, steps: Sequence[str]) -> float | None:
    durations = state.durations.get(run["run_id"], {})
    seconds = sum(durations.get(step, 0.0) for step in steps)
    return count * _SECONDS_PER_MINUTE / seconds if seconds else None


def _hit_rate(reading: Row) -> float | None:
    skipped = sum(
        reading[name] or 0 for name in ("num_unchanged", "num_moved", "num_duplicate", "num_omitted")
    )
    documents = skipped + sum(reading[name] or 0 for name in ("num_added", "num_updated"))
    return skipped / documents if documents else None


def _duration(run: Row | None) -> float | None:
    if run is None or run["started_at"] is None:
        return None
    return max((run["ended_at"] - run["started_at"]).total_seconds(), 0.0)


def _timestamp(moment: Any) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else None
