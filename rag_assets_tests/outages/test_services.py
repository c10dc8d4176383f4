"""Every trouble of every service: production stays or is complete, and docs/what-happens-when.md shows what a person reads.

After a change of a message, `python -m rag_assets_tests.outages.service_matrix` writes the page.
"""

from pathlib import Path

import pytest

from rag_assets_tests.outages.service_matrix import MOMENTS, PAGE, Moment, cell_of, documented, row
from rag_assets_tests.outages.services import SERVICES
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", SERVICES)
def test_production_stays_or_is_complete(name: str, trouble: Trouble, moment: Moment, tmp_path: Path) -> None:
    cell = cell_of(name, trouble, moment, tmp_path)
    assert row(name, trouble, moment, cell) in documented(PAGE.read_text(encoding="utf-8"))
