"""Commands for a knowledge base whose Redis is away: what needs no ledger is answered, and a person can go back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets_tests.pipeline import Pipeline, copy_folder
from rag_assets_tests.redis_servers import redis_server

EDITED = "topic00.md"


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A knowledge base with two generations, and the address of its Redis, which has ended."""
    home = tmp_path_factory.mktemp("without_redis") / "kb"
    with pytest.MonkeyPatch.context() as monkeypatch, redis_server(home.parent) as server:
        pipeline = Pipeline(home, monkeypatch)
        pipeline.configure(REDIS_URL=server.url)
        pipeline.populate()
        pipeline.refresh().checked()
        pipeline.write(EDITED, "A new text about holidays.")
        pipeline.refresh().checked()
        pipeline.close()
    return home, server.url


@pytest.fixture
def pipeline(
    left_behind: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    home, url = left_behind
    copy_folder(home, tmp_path / "kb")
    pipeline = Pipeline(tmp_path / "kb", monkeypatch)
    pipeline.configure(REDIS_URL=url)
    yield pipeline
    pipeline.close()


@pytest.mark.slow
def test_status_shows_production_and_the_problem(pipeline: Pipeline) -> None:
    code, output, errors = pipeline.command("status")
    assert (code, errors) == (1, "")
    assert pipeline.production().production in output
    assert "20 documents" in output
    assert "outcome        live" in output
    assert "NO LEDGER      the ledger, Redis at 127.0.0.1:" in output
    code, line, _ = pipeline.command("status", "--nagios")
    assert (code, line.startswith("CRITICAL - no refresh can begin: the ledger, Redis at")) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("show", EDITED), ("diff",), ("trace", EDITED)], ids=lambda one: one[0])
def test_reports_go_on_without_the_ledger(command: tuple[str, ...], pipeline: Pipeline) -> None:
    code, output, errors = pipeline.command(*command)
    assert (code, EDITED in output) == (0, True)
    assert "refuses connections" in errors
    assert "Shown without the ledger" in errors


@pytest.mark.slow
def test_a_person_goes_back_and_forth(pipeline: Pipeline) -> None:
    before = pipeline.production()
    pipeline.succeed("rollback")
    assert pipeline.production().production == before.previous
    assert "holidays" not in pipeline.export()
    pipeline.succeed("resume")
    assert pipeline.production().held is None
