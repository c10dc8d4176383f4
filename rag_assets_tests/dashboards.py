"""Builds the three dashboards of Grafana in `grafana/dashboards/`.

    python -m rag_assets_tests.dashboards    # writes the files

A test compares the files with it.
"""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from rag_assets_tests.grafana_panels import (
    dashboard_of,
    growth,
    lines,
    names,
    number,
    of,
    quantile,
    recall_gauge,
    verdict,
)

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def pipeline_health() -> dashboard.Dashboard:
    return dashboard_of(
        "rag-pipeline-health",
        "RAG Pipeline Health",
        "Is the knowledge base fresh, complete and good?",
        [
            recall_gauge(),
            verdict(),
            names("Last outcome", "End of the last run.", {"{{outcome}}": f"{of('rag_last_outcome')} == 1"}),
            number(
                "Since the last success",
                "Time since a run ended live, unchanged or held.",
                {"": f"time() - ({of('rag_last_success_timestamp_seconds')} > 0)"},
                "s",
            ),
            number(
                "Age of production",
                "Time since the promotion or rollback to the generation in production.",
                {"": f"time() - {of('rag_generation_timestamp_seconds')}"},
                "s",
            ),
            number("Held", "1 while a person holds production after a rollback.", {"": of("rag_held")}),
            number(
                "In production",
                "Documents and points in production.",
                {"documents": of("rag_production_documents"), "points": of("rag_production_points")},
            ),
            lines(
                "Documents",
                "Documents parsed, with new content, and without (skipped).",
                {
                    "parsed": growth("rag_documents_extracted_total"),
                    "new": growth("rag_documents_deduplicated_new_total"),
                    "skipped": growth("rag_documents_deduplicated_skipped_total"),
                },
                bars=True,
            ),
            lines(
                "Chunks",
                "Chunks of new contents, distinct texts sent to the model, and texts with a cached vector.",
                {
                    "created": growth("rag_chunks_created_total"),
                    "embedded": growth("rag_chunks_embedded_total"),
                    "cached": growth("rag_chunks_cached_total"),
                },
                bars=True,
            ),
            lines(
                "Deduplication",
                "Share of documents without new content in the last refresh. A fall means that everything looks new.",
                {"known documents": of("rag_deduplication_cache_hit_rate")},
                "percentunit",
            ),
            lines(
                "Runs by outcome",
                "Ended runs.",
                {"{{outcome}}": f"({growth('rag_refreshes_total')}) > 0"},
                bars=True,
            ),
            lines(
                "Documents left out",
                "Documents without usable text (quarantined), and files not read.",
                {
                    "quarantined": of("rag_documents_quarantined"),
                    "left out: {{reason}}": of("rag_files_left_out"),
                },
            ),
            lines(
                "Sources",
                "1 if the last reading listed the whole source.",
                {"{{source}}": of("rag_source_complete")},
            ),
            lines(
                "Speed",
                "Documents parsed, and chunks cut, embedded and written, per minute.",
                {
                    "documents": of("rag_documents_per_minute"),
                    "chunks": of("rag_chunks_per_minute"),
                },
            ),
            lines(
                "Parsing",
                "Seconds to parse one document, over the range of the dashboard.",
                {
                    "p50": quantile("0.5", "rag_extraction_latency_seconds"),
                    "p95": quantile("0.95", "rag_extraction_latency_seconds"),
                },
                "s",
            ),
            lines(
                "Monitoring",
                "1 if the metadata tables answer, and the records of runs that they lack.",
                {"tables answer": of("rag_metrics_up"), "records waiting": of("rag_waiting_records")},
            ),
        ],
    )


def retrieval_quality() -> dashboard.Dashboard:
    recalls = {
        f"Recall@{k} {subject}": of(f"rag_eval_recall_at_{k}", generation=subject)
        for subject in ("production", "candidate")
        for k in (1, 5, 10)
    }
    return dashboard_of(
        "rag-retrieval-quality",
        "Retrieval Quality Trends",
        "Does search find what the benchmark expects? Green lines are promotions, red ones rollbacks.",
        [
            lines(
                "Recall",
                "Share of the expected documents among the first found. The gate compares Recall@5 with the threshold.",
                {**recalls, "threshold": of("rag_eval_threshold")},
                "percentunit",
            ),
            lines(
                "Ranking",
                "MRR: mean of 1 / rank of the first expected document. nDCG@10: closeness of the expected documents to the top.",
                {
                    "MRR {{generation}}": of("rag_eval_mrr"),
                    "nDCG@10 {{generation}}": of("rag_eval_ndcg_at_10"),
                },
                "percentunit",
            ),
            lines(
                "Query latency",
                "Milliseconds of one search in the last measured candidate.",
                {"quantile {{quantile}}": of("rag_eval_query_latency_ms")},
                "ms",
            ),
            number(
                "Promotions", "In the range of the dashboard.", {"": of("rag_promotions_total")}, calc="diff"
            ),
            number(
                "Rollbacks", "In the range of the dashboard.", {"": of("rag_rollbacks_total")}, calc="diff"
            ),
            number(
                "Stopped by the gate",
                "In the range of the dashboard.",
                {"": of("rag_gate_failures_total")},
                calc="diff",
            ),
        ],
    )


def cost_and_performance() -> dashboard.Dashboard:
    return dashboard_of(
        "rag-cost-performance",
        "Cost & Performance",
        "What do refreshes cost, what is saved, and how fast are the parts?",
        [
            number(
                "Cost",
                "US dollars in the range of the dashboard.",
                {"": f"sum({of('rag_embedding_cost_usd_total')})"},
                "currencyUSD",
                "diff",
                width=4,
            ),
            number(
                "Tokens",
                "Billed tokens in the range of the dashboard.",
                {"": f"sum({of('rag_embedding_tokens_total')})"},
                calc="diff",
                width=4,
            ),
            number(
                "Tokens without a price",
                "The cost lacks these.",
                {"": f"sum({of('rag_embedding_unpriced_tokens_total')})"},
                calc="diff",
                width=4,
            ),
            number(
                "Saved",
                "US dollars not spent.",
                {"{{by}}": of("rag_usd_saved_total")},
                "currencyUSD",
                "diff",
                width=4,
            ),
            number(
                "Tokens saved",
                "Tokens not sent again.",
                {"{{by}}": of("rag_tokens_saved_total")},
                calc="diff",
                width=4,
            ),
            number(
                "Died runs",
                "In the range of the dashboard.",
                {"": of("rag_died_runs_total")},
                calc="diff",
                width=4,
            ),
            lines(
                "Tokens by purpose",
                "Billed tokens of each run, by model and purpose.",
                {"{{model}} {{purpose}}": f"({growth('rag_embedding_tokens_total')}) > 0"},
                bars=True,
            ),
            lines(
                "Cost by purpose",
                "US dollars of each run, by model and purpose.",
                {"{{model}} {{purpose}}": f"({growth('rag_embedding_cost_usd_total')}) > 0"},
                "currencyUSD",
                bars=True,
            ),
            lines(
                "Embedding latency",
                "Seconds of one request to the model, over the range of the dashboard.",
                {
                    "p50": quantile("0.5", "rag_embedding_latency_seconds"),
                    "p95": quantile("0.95", "rag_embedding_latency_seconds"),
                },
                "s",
            ),
            lines(
                "Requests to the model",
                "Number of requests of each run.",
                {"requests": growth("rag_embedding_latency_seconds_count")},
                bars=True,
            ),
            lines(
                "Writing points",
                "Points written per second, in the last refresh that wrote any.",
                {"points per second": of("rag_upsert_points_per_second")},
            ),
            lines(
                "Points written",
                "Points of each run, and the seconds spent on writing them.",
                {
                    "points": growth("rag_points_upserted_total"),
                    "seconds": growth("rag_upsert_seconds_total"),
                },
                bars=True,
            ),
            lines(
                "Duration",
                "Seconds of the last run.",
                {"last run": of("rag_last_run_duration_seconds")},
                "s",
            ),
        ],
    )


DASHBOARDS = {
    "pipeline_health.json": pipeline_health,
    "retrieval_quality.json": retrieval_quality,
    "cost_and_performance.json": cost_and_performance,
}


def text_of(name: str) -> str:
    """Return the content of a file."""
    built = json.loads(json.dumps(DASHBOARDS[name]().build(), cls=JSONEncoder))
    return json.dumps(_without_nothing(built), indent=1, sort_keys=True) + "\n"


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nothing(one) for key, one in value.items() if one is not None}
    return [_without_nothing(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in DASHBOARDS:
        (FOLDER / file).write_text(text_of(file), encoding="utf-8")
