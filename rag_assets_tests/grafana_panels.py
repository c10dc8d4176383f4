"""The parts of the dashboards of Grafana, with Grafana's own SDK: queries, panels, and the frame around them.

Counters never fall, so a panel shows the difference of two samples: that is exact, where `increase()` of Prometheus
extrapolates.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, gauge, prometheus, stat, timeseries
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


def dashboard_of(uid: str, title: str, help_text: str, panels: Sequence[Panel]) -> dashboard.Dashboard:
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
