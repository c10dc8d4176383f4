"""Renders the table of docs/metrics.md from the catalog of metrics.

    python -m rag_assets_tests.metrics_page    # writes the page

A test compares the page with it.
"""

import re
from pathlib import Path

from rag_assets.tracking.prometheus_metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
_HEAD = "| series | kind | labels | meaning |\n|---|---|---|---|\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\|.*\n)*")


def with_table(page: str) -> str:
    """Return the text of the page with the table of this version."""
    rows = (
        f"| `{metric.exported_name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |\n"
        for metric in METRICS
    )
    table = _HEAD + "".join(rows)
    return _TABLE.sub(lambda _: table, page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
