"""Names of the numbers of `eval_report`. Dagster plots every number of an asset, sorted by name."""

_IN_ORDER = (
    "recall_at_5",
    "in_production",
    "mrr",
    "ndcg_at_10",
    "benchmark",
    "num_queries",
    "latency_p50_seconds",
)
"""The plots in the order of importance. `in_production` is `recall_at_5` of production, on the same questions. A step in
`benchmark` marks a changed benchmark: scores before and after it are not comparable."""


def plotted(name: str) -> str:
    """Return the metadata key of a number, such as `3 mrr`. All others keep their name, and come after."""
    return f"{_IN_ORDER.index(name) + 1} {name}" if name in _IN_ORDER else name
