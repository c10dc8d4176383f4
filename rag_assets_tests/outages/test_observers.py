"""Every trouble of every observer: the refresh is promoted, a person reads of it in docs/outages.md, and nothing is lost.

After a change of a message, `python -m rag_assets_tests.outages.observer_matrix` writes the page. A plain run has a sample of
the cells, `-m soak` all others.
"""

from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.optional_packages import require, require_unimported
from rag_assets_tests.outages.observer_matrix import TABLE, Cell, cells, described, result_of

require_unimported("mlflow", "dagster_mlflow")
require("prometheus_client")
SAMPLE: list[Cell] = [
    ("MLflow", "dropped after send", "in the middle"),
    ("PostgreSQL of the metadata tables", "error", "in the middle"),
    ("Slack", "hanging", "at the start"),
    ("Pushgateway", "refused", "at the start"),
]


def _marked(cell: Cell) -> Any:
    mark = pytest.mark.slow if cell in SAMPLE else pytest.mark.soak
    return pytest.param(cell, id="-".join(cell), marks=mark)


def test_the_page_has_every_trouble_of_every_observer() -> None:
    assert TABLE.documented().keys() == {*cells()}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("cell", map(_marked, cells()))
def test_a_refresh_is_promoted_and_a_person_reads_of_it(cell: Cell, tmp_path: Path) -> None:
    assert described(result_of(cell, tmp_path)) == TABLE.documented()[cell]
