"""Metadata tables and Dagster storage that an earlier version left in PostgreSQL work with this one.

Each archive in `state_of_earlier_versions/with_postgres` holds the state of one version and dumps of its two databases.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from rag_assets_tests.optional_packages import require
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.scenarios.test_earlier_versions import pipeline_on, unpack
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.tracking.conftest import ask

ARCHIVES = sorted(
    Path(__file__).parents[1].joinpath("state_of_earlier_versions/with_postgres").glob("*.tar.xz")
)
REFRESHES = "SELECT * FROM rag_refreshes ORDER BY ended_at"
PROMOTIONS = "SELECT * FROM rag_promotions ORDER BY decided_at"
PURGED = "filesystem:hr/sabbatical_policy.txt"

pytestmark = pytest.mark.slow


@pytest.fixture(params=ARCHIVES, ids=lambda archive: archive.name.partition(".")[0])
def earlier(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """A pipeline of this version on the state and the databases of an earlier one, with the same configuration."""
    home = unpack(request.param, tmp_path)
    metadata_url = load(home / "rag_metadata.sql")
    dagster_url = load(home / "dagster.sql").replace("postgresql:", "postgresql+psycopg2:")
    home.joinpath("dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {dagster_url}\ntelemetry:\n  enabled: false\n"
    )
    with pipeline_on(home, monkeypatch, RAG_METADATA_URL=metadata_url) as pipeline:
        yield pipeline


def load(dump: Path) -> str:
    """Load a dump into a new database, and return its URL."""
    require("psycopg")
    import psycopg

    server = f"postgresql://postgres:{quote(PASSWORD)}@127.0.0.1:{server_port()}"
    name = f"earlier_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with psycopg.connect(f"{server}/{name}", autocommit=True) as connection:
        connection.execute(dump.read_bytes())
    return f"{server}/{name}"


def test_a_refresh_adds_to_the_tables_of_an_earlier_version(earlier: Pipeline) -> None:
    url = os.environ["RAG_METADATA_URL"]
    before = ask(url, REFRESHES)
    assert [row["outcome"] for row in before] == ["live", "live", "blocked"]
    assert [row["resolved_at"] for row in ask(url, "SELECT * FROM rag_incidents")] == [None]
    promotions = ask(url, PROMOTIONS)

    run = earlier.refresh().checked()

    after = ask(url, REFRESHES)
    assert [{column: row[column] for column in before[0]} for row in after[:3]] == before
    assert [(row["run_id"], row["outcome"], row["num_documents"]) for row in after[3:]] == [
        (run.run_id, "live", 6)
    ]
    assert [row["resolved_at"] for row in ask(url, "SELECT * FROM rag_incidents")] != [None]
    assert ask(url, PROMOTIONS)[: len(promotions)] == promotions
    served = {row["document_id"] for row in ask(url, "SELECT document_id FROM rag_documents")}
    assert served == earlier.served()
    assert len(served) == 6
    assert PURGED not in served
    assert earlier.problems_of_production() == ()


def test_runs_of_an_earlier_version_are_read_and_executed_again(earlier: Pipeline) -> None:
    blocked, *others = earlier.instance.get_runs()
    assert (blocked.status, {run.status for run in others}) == (
        dg.DagsterRunStatus.FAILURE,
        {dg.DagsterRunStatus.SUCCESS},
    )
    assert earlier.status()["last_refresh"]["evaluation"]["gate_passed"] is False
    earlier.configure(RAG_EVAL_THRESHOLD="0.99")
    again = earlier.execute_again(blocked.run_id)
    assert (again.steps, again.gate_passed) == (("eval_report_recall_gate",), False)
    assert "Recall@5 0.875" in again.gate_description
