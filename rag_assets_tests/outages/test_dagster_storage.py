"""Every trouble of PostgreSQL as Dagster's storage: production stays or is complete, and a person reads why."""

from pathlib import Path

import pytest

from rag_assets_tests.outages.dagster_storage import (
    MOMENTS,
    NAME,
    Moment,
    StorageInTrouble,
    materialized,
    result_of,
    sentence_in,
)
from rag_assets_tests.outages.result import Result
from rag_assets_tests.outages.service_matrix import TABLE, described
from rag_assets_tests.processes.conftest import Story, story
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble

__all__ = ["story"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_production_stays_or_is_complete(
    trouble: Trouble, moment: Moment, story: Story, tmp_path: Path
) -> None:
    result = result_of(trouble, moment, story, tmp_path)
    assert described(result) == TABLE.documented()[NAME, trouble, moment]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("trouble", [trouble for trouble in TROUBLES if trouble != "one answer lost"])
def test_the_command_of_dagster_says_it_too(
    trouble: Trouble, moment: Moment, story: Story, tmp_path: Path
) -> None:
    storage = StorageInTrouble(story.before.copy_to(tmp_path / "home"))
    try:
        storage.begin(trouble, moment)
        output = materialized(storage)
        assert storage.proxy.has_begun, "there was no trouble"
        said = storage.plain(sentence_in(output))
        assert said, output
        page = TABLE.documented()
        assert described(Result("as before", (said,))).partition(" | ")[2] in page[NAME, trouble, moment]
        assert PASSWORD not in output
    finally:
        storage.close()
