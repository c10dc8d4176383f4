"""Every trouble of every service: production stays or is complete, and docs/outages.md shows what a person reads.

After a change of a message, `python -m rag_assets_tests.outages.service_matrix` writes the page. A plain run has a sample of
the cells, `-m soak` all others.
"""

import itertools
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.outages.dagster_storage import MOMENTS, NAME
from rag_assets_tests.outages.service_matrix import TABLE, Cell, described, result_of
from rag_assets_tests.outages.services import cells
from rag_assets_tests.troubled_proxy import TROUBLES

SAMPLE: list[Cell] = [
    ("Redis", "hanging", "in the middle"),
    ("Redis", "dropped after send", "at the promotion"),
    ("Qdrant", "dropped after send", "in the middle"),
    ("Qdrant", "one answer lost", "at the promotion"),
    ("embedder", "error", "in the middle"),
]


def _marked(cell: Cell) -> Any:
    mark = pytest.mark.slow if cell in SAMPLE else pytest.mark.soak
    return pytest.param(cell, id="-".join(cell), marks=mark)


def test_the_page_has_every_trouble_of_every_service() -> None:
    dagster = {(NAME, *cell) for cell in itertools.product(TROUBLES, MOMENTS)}
    assert TABLE.documented().keys() == {*cells(), *dagster}


@pytest.mark.parametrize("cell", map(_marked, cells()))
def test_production_stays_or_is_complete(cell: Cell, tmp_path: Path) -> None:
    assert described(result_of(cell, tmp_path)) == TABLE.documented()[cell]
