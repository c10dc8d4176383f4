"""Builds the three dashboards of Grafana in `grafana/dashboards/`, with Grafana's own SDK.

    python -m rag_assets_tests.dashboards    # writes the files

A test compares the files with it. Counters never fall, so a panel shows the difference of two samples: that is exact, where
`increase()` of Prometheus extrapolates.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, gauge, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The datasource of grafana/provisioning/datasources/prometheus.yml."""
Panel = stat.Panel | gauge.Panel | timeseries.Panel
Queries = dict[str, str]
"""Legend -> expression."""


def of(metric: str, **labels: str) -> str:
    """Return the selector of a metric, for the chosen knowledge base."""
    chosen = {"knowledge_base": "$knowledge_base", **labels}
    inner = ",".join(f'{name}="{value}"' for name, value in chosen.items())
    return f"{metric}{{{inner}}}"


def growth(metric: str, over: str = "$__interval", **labels: str) -> str:
    """Return the exact growth of a counter."""
    return f"{of(metric, **labels)} - {of(metric, **labels)} offset {over}"


def quantile(share: str, metric: str) -> str:
    """Return a quantile of a histogram, of all observations in the range of the dashboard."""
    return f"histogram_quantile({share}, sum by (le) ({growth(f'{metric}_bucket', '$__range')}))"


def _targets(panel: Panel, queries: Queries) -> None:
    for letter, (legend, expression) in zip("ABCDEFGH", queries.items(), strict=False):
        panel.with_target(
            prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)
        )


def number(
    title: str,
    help_text: str,
    queries: Queries,
    unit: str = "short",
    calc: str = "lastNotNull",
    width: int = 3,
) -> Panel:
    """Return a panel of one number, or one per series. `calc` is `diff` for the growth of a counter over the range."""
    panel = stat.Panel().title(title).description(help_text).datasource(SOURCE).unit(unit)
    panel.span(width).height(6).graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs([calc]))
    panel.text_mode(BigValueTextMode.AUTO)
    _targets(panel, queries)
    return panel


def names(title: str, help_text: str, queries: Queries) -> Panel:
    """Return a panel of the names of the series."""
    panel = number(title, help_text, queries)
    assert isinstance(panel, stat.Panel)
    return panel.text_mode(BigValueTextMode.NAME)


def lines(title: str, help_text: str, queries: Queries, unit: str = "short", *, bars: bool = False) -> Panel:
    panel = timeseries.Panel().title(title).description(help_text).datasource(SOURCE).unit(unit)
    panel.span(12).height(8).min(0)
    if bars:
        panel.draw_style(GraphDrawStyle.BARS).fill_opacity(60)
    panel.override_by_name(
        "threshold", [DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"})]
    )
    _targets(panel, queries)
    return panel


def recall_gauge() -> Panel:
    """Return Recall@5 beside the threshold of the knowledge base."""
    panel = gauge.Panel().title("Recall@5 in production").datasource(SOURCE).unit("percentunit").min(0).max(1)
    panel.description("Last measurement of the generation in production, beside RAG_EVAL_THRESHOLD.")
    panel.thresholds(dashboard.ThresholdsConfig().steps([Threshold(color="blue")]))
    panel.span(6).height(6)
    _targets(
        panel,
        {
            "Recall@5": of("rag_eval_recall_at_5", generation="production"),
            "threshold": of("rag_eval_threshold"),
        },
    )
    return panel


def verdict() -> Panel:
    """Return a panel with a color by the threshold of the knowledge base, not by a number in the file."""
    recall, threshold = of("rag_eval_recall_at_5", generation="production"), of("rag_eval_threshold")
    passes = {"": f"{recall} >= bool on (knowledge_base) group_left () {threshold}"}
    panel = number("Quality", "Whether Recall@5 in production reaches RAG_EVAL_THRESHOLD.", passes)
    assert isinstance(panel, stat.Panel)
    shown = {
        "0": ValueMappingResult(text="below", color="red"),
        "1": ValueMappingResult(text="good", color="green"),
    }
    return panel.color_mode(BigValueColorMode.BACKGROUND).mappings([ValueMap(options=shown)])


def _dashboard(uid: str, title: str, help_text: str, panels: Sequence[Panel]) -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(help_text)
        .tags(["rag-assets"])
        .time("now-7d", "now")
        .refresh("1m")
        .readonly()
        .with_variable(
            dashboard.QueryVariable("knowledge_base")
            .label("Knowledge base")
            .datasource(SOURCE)
            .query("label_values(rag_metrics_up, knowledge_base)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
        .with_variable(
            dashboard.TextBoxVariable("dagster").label("Dagster").default_value("http://localhost:8080")
        )
        .link(_link("Runs in Dagster", "${dagster}/runs"))
        .link(_link("Last promotion in Dagster", "${dagster}/assets/production_collection"))
        .link(
            dashboard.DashboardLink("Dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["rag-assets"])
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_event("Promotions", "rag_promotions_total", "green"))
        .annotation(_event("Rollbacks", "rag_rollbacks_total", "red"))
    )
    for identity, panel in enumerate(panels, start=1):
        built.with_panel(panel.id(identity))
    return built


def _link(title: str, url: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url(url)
        .target_blank(True)
        .icon("external link")
    )


def _event(name: str, metric: str, color: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(f"{growth(metric, '1m')} > 0")
    )


def pipeline_health() -> dashboard.Dashboard:
    return _dashboard(
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
    return _dashboard(
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
    return _dashboard(
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
