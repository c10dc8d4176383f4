"""Every fault of every source: nothing is deleted, the rest is refreshed, and docs/sources.md shows the words of `status`.

After a change of a message, `python -m rag_assets_tests.outages.matrix` writes the page.
"""

from pathlib import Path

import pytest

from rag_assets.sources.registry import SOURCES
from rag_assets_tests.outages.matrix import FAULTS, PAGE, TROUBLES, cell_of, documented, row
from rag_assets_tests.outages.troubles import Fault


def test_every_kind_of_source_is_in_the_matrix() -> None:
    assert set(TROUBLES) == set(SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", sorted(TROUBLES))
def test_nothing_is_deleted_and_the_rest_is_refreshed(kind: str, fault: Fault, tmp_path: Path) -> None:
    cell = cell_of(kind, fault, tmp_path)
    assert row(fault, cell) in documented(PAGE.read_text(encoding="utf-8"), kind).splitlines()
