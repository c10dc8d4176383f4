"""Documents of an unreadable, omitted or unconfigured source are not deleted."""

import json
import shutil
from typing import Any

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings
from rag_assets_tests.pipeline import NUM_DOCUMENTS, THRESHOLD, Pipeline, Run, text_about, token_in

ARCHIVED = {"archive:old.md", "archive:older.md"}


def unreadable(run: Run) -> dict[str, str]:
    """Return source -> problem."""
    return run.metadata["raw_documents"]["unreadable_sources"]


@pytest.fixture
def with_archive(promoted: Pipeline) -> Pipeline:
    """A promoted pipeline with a second source beside the documents folder."""
    folder = promoted.home / "archive"
    declared = promoted.home / "sources.yaml"
    declared.write_text(f"sources:\n  archive:\n    kind: filesystem\n    folder: {folder}\n")
    promoted.write("old.md", text_about("old"), folder)
    promoted.write("older.md", text_about("older"), folder)
    promoted.configure(RAG_SOURCES="filesystem,archive", RAG_SOURCES_FILE=str(declared))
    promoted.refresh().checked()
    assert promoted.served() > ARCHIVED
    return promoted


@pytest.mark.parametrize("way", ["no longer configured", "left out in the Launchpad"])
def test_documents_of_an_unread_source_are_not_deleted(with_archive: Pipeline, way: str) -> None:
    with_archive.write("topic04.md", text_about("changed"))
    if way == "no longer configured":
        with_archive.configure(RAG_SOURCES="filesystem")
        run = with_archive.refresh()
    else:
        run = with_archive.refresh(launchpad={"sources": ["filesystem"]})
    assert run.checked().metadata["deduped_documents"]["num_deleted"] == 0
    assert with_archive.served() > ARCHIVED


def test_documents_left_from_an_unconfigured_source_are_reported(with_archive: Pipeline) -> None:
    commands = ("status", "plan", "doctor")
    assert not any("NOT CONFIGURED" in with_archive.succeed(command) for command in commands)
    with_archive.configure(RAG_SOURCES="filesystem")
    reported = "NOT CONFIGURED source archive: 2 documents still in production; docs/sources.md shows how to remove a source"
    assert all(reported in with_archive.succeed(command) for command in commands)
    assert with_archive.status()["unconfigured_sources"] == {"archive": 2}
    planned = json.loads(with_archive.succeed("plan", "--json"))
    assert planned["raw_documents"]["unconfigured_sources"] == {"archive": 2}


def test_a_source_with_invalid_options_counts_as_configured(with_archive: Pipeline) -> None:
    declared = with_archive.home / "sources.yaml"
    declared.write_text("sources:\n  archive:\n    kind: filesystem\n    folder: ${NOT_SET}\n")
    assert with_archive.status()["unconfigured_sources"] == {}
    declared.unlink()
    assert with_archive.status()["unconfigured_sources"] == {}


def test_a_source_is_removed_as_the_page_on_sources_describes(with_archive: Pipeline) -> None:
    declared = with_archive.home / "sources.yaml"
    with_archive.configure(RAG_SOURCES="filesystem")
    with_archive.refresh().checked()
    (with_archive.home / "nothing").mkdir()
    declared.write_text(
        f"sources:\n  archive:\n    kind: filesystem\n    folder: {with_archive.home / 'nothing'}\n"
    )
    with_archive.configure(RAG_SOURCES="filesystem,archive")
    with_archive.succeed("approve", token_in(unreadable(with_archive.refresh())["archive"]))
    with_archive.refresh().checked()
    with_archive.configure(RAG_SOURCES="filesystem")
    assert not with_archive.served() & ARCHIVED
    assert "NOT CONFIGURED" not in with_archive.succeed("status")


def test_documents_of_an_unread_source_survive_a_rebuild(with_archive: Pipeline) -> None:
    with_archive.configure(RAG_SOURCES="filesystem", RAG_CHUNK_SIZE="48")
    assert with_archive.refresh().checked().metadata["deduped_documents"]["full_rebuild"] is True
    assert with_archive.served() > ARCHIVED
    assert len(with_archive.served()) == NUM_DOCUMENTS + 2


def test_an_unavailable_source_degrades_the_refresh_and_deletes_nothing(with_archive: Pipeline) -> None:
    (with_archive.home / "archive").rename(with_archive.home / "away")
    with_archive.remove("topic01.md")
    run = with_archive.refresh().checked()
    assert run.metadata["raw_documents"]["num_unreadable_sources"] == 1
    assert run.metadata["deduped_documents"]["num_deleted"] == 1
    assert with_archive.served() > ARCHIVED
    assert list(with_archive.status()["last_refresh"]["unreadable_sources"]) == ["archive"]
    assert "DEGRADED" in with_archive.succeed("status")


def test_one_text_in_place_of_a_source_waits_for_its_token(with_archive: Pipeline) -> None:
    export = with_archive.export()
    folder = with_archive.home / "archive"
    for name in ("old.md", "older.md"):
        with_archive.write(name, "Please log in.", folder)
    assert with_archive.refresh().checked().metadata["raw_documents"]["num_unreadable_sources"] == 1
    assert with_archive.export() == export
    status = with_archive.succeed("status")
    assert "DEGRADED       source archive: the whole source: 2 of 2 documents" in status
    assert token_in(with_archive.succeed("plan")) == token_in(status)
    with_archive.succeed("approve", token_in(status))
    assert with_archive.refresh().checked().metadata["deduped_documents"]["num_updated"] == 2
    assert "DEGRADED" not in with_archive.succeed("status")


def test_an_emptied_source_stays_until_its_token_and_the_rest_is_refreshed(with_archive: Pipeline) -> None:
    for path in (with_archive.home / "archive").iterdir():
        path.unlink()
    with_archive.remove("topic01.md")
    with_archive.write("topic02.md", text_about("changed"))
    run = with_archive.refresh().checked()
    assert run.metadata["deduped_documents"]["num_deleted"] == 1
    assert run.metadata["deduped_documents"]["num_updated"] == 1
    assert with_archive.served() > ARCHIVED
    assert "filesystem:topic01.md" not in with_archive.served()
    with_archive.succeed("approve", token_in(unreadable(run)["archive"]))
    with_archive.refresh().checked()
    assert not with_archive.served() & ARCHIVED


def test_an_emptied_folder_stays_until_its_token_and_the_rest_is_refreshed(promoted: Pipeline) -> None:
    folder = {f"filesystem:hr/page{number:02}.md" for number in range(11)}
    for number in range(11):
        promoted.write(f"hr/page{number:02}.md", text_about(f"page {number}"))
    promoted.refresh().checked()
    shutil.rmtree(promoted.documents / "hr")
    promoted.remove("topic01.md")
    run = promoted.refresh().checked()
    assert promoted.served() > folder
    assert "filesystem:topic01.md" not in promoted.served()
    said = unreadable(run)["filesystem"]
    assert said.startswith("hr/: none of 11 documents is left. 11 documents kept.")
    assert said in promoted.succeed("status")
    assert said in promoted.succeed("plan")
    promoted.succeed("approve", token_in(said))
    promoted.refresh().checked()
    assert not promoted.served() & folder


def test_a_few_deletions_need_no_approval(promoted: Pipeline) -> None:
    promoted.write_benchmark_for(range(10))
    for number in range(10, NUM_DOCUMENTS):
        promoted.remove(f"topic{number:02}.md")
    promoted.refresh().checked()
    assert len(promoted.served()) == 10


def test_an_approval_is_valid_for_one_refresh(promoted: Pipeline) -> None:
    promoted.write_benchmark_for(range(8))
    gone = [f"topic{number:02}.md" for number in range(8, NUM_DOCUMENTS)]
    kept = {name: (promoted.documents / name).read_bytes() for name in gone}
    promoted.remove(*gone)
    promoted.succeed("approve", token_in(promoted.refresh().message))
    promoted.refresh().checked()
    for name, content in kept.items():
        promoted.write(name, content)
    promoted.refresh().checked()
    assert len(promoted.served()) == NUM_DOCUMENTS
    promoted.remove(*gone)
    assert "refused to delete 12 of 20" in promoted.refresh().message
    assert len(promoted.served()) == NUM_DOCUMENTS


def test_an_approval_ends_with_a_failed_gate(promoted: Pipeline) -> None:
    promoted.write_benchmark_for(range(8))
    promoted.remove(*(f"topic{number:02}.md" for number in range(8, NUM_DOCUMENTS)))
    promoted.succeed("approve", token_in(promoted.refresh().message))
    promoted.benchmark.unlink()
    assert promoted.refresh().gate_passed is False
    assert len(promoted.served()) == NUM_DOCUMENTS
    promoted.write_benchmark_for(range(8))
    promoted.succeed("approve", token_in(promoted.refresh().message))
    promoted.refresh().checked()
    assert len(promoted.served()) == 8


def test_restored_files_need_no_approval(promoted: Pipeline) -> None:
    export = promoted.export()
    aside = promoted.home / "aside"
    promoted.documents.rename(aside)
    promoted.documents.mkdir()
    assert "rag-assets approve" in unreadable(promoted.refresh().checked())["filesystem"]
    assert promoted.export() == export
    promoted.documents.rmdir()
    aside.rename(promoted.documents)
    assert promoted.refresh().checked().metadata["staging_collection"]["written"] is False
    assert promoted.export() == export


def test_a_first_refresh_of_an_empty_folder_explains_the_next_step(empty: Pipeline) -> None:
    for path in empty.documents.iterdir():
        path.unlink()
    run = empty.refresh()
    assert "put documents into" in run.failures["deduped_documents"]
    assert "RAG_DOCUMENTS_DIR" in run.message


def _tick(pipeline: Pipeline) -> Any:
    """Evaluate the folder sensor once."""
    definitions = build_definitions(load_settings())
    sensor = definitions.get_repository_def().get_sensor_def("refresh_on_changed_documents")
    with dg.build_sensor_context(pipeline.instance, resources=definitions.resources) as context:
        return sensor.evaluate_tick(context)


def test_the_folder_sensor_requests_a_run_until_production_is_up_to_date(promoted: Pipeline) -> None:
    promoted.refresh().checked()
    assert "production is up to date" in str(_tick(promoted).skip_message)
    promoted.write("new.md", text_about("new"))
    (asked,) = _tick(promoted).run_requests or ()
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    assert promoted.refresh().gate_passed is False
    (asked_after_the_failure,) = _tick(promoted).run_requests or ()
    assert asked_after_the_failure.run_key == asked.run_key, "no second run for the same change"
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    promoted.refresh().checked()
    assert "production is up to date" in str(_tick(promoted).skip_message)


def test_the_folder_sensor_requests_no_run_during_a_hold(rolled_back: Pipeline) -> None:
    rolled_back.write("new.md", text_about("new"))
    assert "rag-assets resume" in str(_tick(rolled_back).skip_message)


@pytest.mark.parametrize("token", ["", "zzzz", "0123456789abcdeg", "0123456789abcdef"])
def test_an_invalid_token_is_not_approved(promoted: Pipeline, token: str) -> None:
    code, _, errors = promoted.command("approve", token)
    assert (code, len(errors.splitlines())) == (1, 1)
