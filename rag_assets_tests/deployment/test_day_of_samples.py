"""A day of samples, in blocks made by promtool, behind the queries of every dashboard: each bar counts once, nothing is empty."""

import contextlib
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.metrics_state import MetricsState, read_metrics_state
from rag_assets_tests.dashboards import DASHBOARDS
from rag_assets_tests.deployment.test_dashboards import read
from rag_assets_tests.optional_packages import require
from rag_assets_tests.prometheus_servers import Prometheus, prometheus, require_executable
from rag_assets_tests.tracking.test_metrics_exporter import refreshed

require("prometheus_client")
from rag_assets.tracking.metric_families import Configured, families  # noqa: E402

pytestmark = pytest.mark.slow
DAY, STEP, BETWEEN_SAMPLES = 86_400, 600, 300
NUM_REFRESHES = 4
KNOWLEDGE_BASE = "handbook"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> MetricsState:
    """The state of the tables after two runs."""
    place = tmp_path_factory.mktemp("tables") / "metadata.sqlite"
    database = MetadataDatabase(place, "kb", Deadline(60))
    database.prepare()
    refreshed(database)
    database.close()
    return read_metrics_state(place, KNOWLEDGE_BASE, None, Deadline(60))


@pytest.fixture(scope="module")
def begun_at() -> int:
    """The begin of the day, a multiple of the step. It ends two hours ago: Prometheus keeps newer samples elsewhere."""
    return (int(time.time()) - DAY - 7200) // STEP * STEP


@pytest.fixture(scope="module")
def watching(
    state: MetricsState, begun_at: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("day")
    (folder / "day.txt").write_text(open_metrics(state, begun_at))
    command = [require_executable("promtool"), "tsdb", "create-blocks-from", "openmetrics", "day.txt", "tsdb"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(prometheus(folder, {"global": {"scrape_interval": "1m"}}))


def open_metrics(state: MetricsState, begun_at: int) -> str:
    """Return a day of scrapes as text. Every six hours a refresh adds the totals of the two runs again."""
    totals = dict(state.totals)
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for moment in range(begun_at, begun_at + DAY + 1, BETWEEN_SAMPLES):
        done = 1 + (moment - begun_at - 1) // (DAY // NUM_REFRESHES)  # 0 at the begin
        state.totals = {key: value * done for key, value in totals.items()}
        state.last_success = datetime.fromtimestamp(moment, UTC)
        for family in families(state, Configured(KNOWLEDGE_BASE, 0.75, "small", 0)):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                lines[f"# TYPE {family.name} {family.type}"].append(
                    f"{sample.name}{{{labels}}} {sample.value} {moment}"
                )
    state.totals = totals
    return "\n".join(line for head, samples in lines.items() for line in (head, *samples)) + "\n# EOF\n"


def answers(watching: Prometheus, expression: str, begun_at: int, step: int = STEP) -> list[list[float]]:
    """Return the values of each series over the day."""
    for variable, value in (
        ("$knowledge_base", KNOWLEDGE_BASE),
        ("$__interval", f"{step}s"),
        ("$__range", f"{DAY}s"),
    ):
        expression = expression.replace(variable, value)
    found: list[dict[str, Any]] = watching.api(
        "query_range", query=expression, start=begun_at, end=begun_at + DAY, step=step
    )["result"]
    return [[float(value) for _, value in series["values"]] for series in found]


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_no_panel_is_empty(name: str, watching: Prometheus, begun_at: int) -> None:
    for panel in read(name)["panels"]:
        for target in panel["targets"]:
            found = answers(watching, target["expr"], begun_at)
            assert any(found), f"{panel['title']}: {target['expr']}"


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
@pytest.mark.parametrize("step", [BETWEEN_SAMPLES, STEP, 3600])
def test_the_bars_of_a_panel_sum_up_to_the_day(
    name: str, step: int, watching: Prometheus, begun_at: int, state: MetricsState
) -> None:
    checked = 0
    for panel in read(name)["panels"]:
        for target in panel["targets"]:
            grown = re.fullmatch(
                r"\(?(rag_\w+\{.*?\}) - rag_\w+\{.*?\} offset \$__interval\)?( > 0)?", target["expr"]
            )
            if grown is None:
                continue
            checked += 1
            whole = answers(watching, grown[1], begun_at)
            expected = sorted(series[-1] - series[0] for series in whole)
            bars = sorted(sum(series) for series in answers(watching, target["expr"], begun_at, step))
            if grown[2]:
                expected = [value for value in expected if value]
            assert bars == pytest.approx(expected), panel["title"]
    assert checked or name == "retrieval_quality.json"


def test_each_promotion_is_marked_once(watching: Prometheus, begun_at: int) -> None:
    for one in read("retrieval_quality.json")["annotations"]["list"]:
        marks = [value for series in answers(watching, one["expr"], begun_at, 60) for value in series]
        assert len(marks) == (NUM_REFRESHES if one["name"] == "Promotions" else 0)
