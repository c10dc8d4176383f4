"""Lost or corrupt state, or state of another version, is rebuilt. It is never read in part, and no document is lost."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from rag_assets.artifacts.store import KEPT_REFRESHES
from rag_assets_tests.pipeline import (
    NUM_DOCUMENTS,
    Pipeline,
    assert_same_points,
    question_about,
    text_about,
    token_in,
)


def _forget_ledger(pipeline: Pipeline) -> None:
    for path in pipeline.state_dir.glob("ledger.sqlite*"):
        path.unlink()


def test_changes_are_applied_to_production_after_the_loss_of_the_ledger(promoted: Pipeline) -> None:
    before = {point.payload["text"] for point in promoted.points().values()}
    _forget_ledger(promoted)
    promoted.write("new.md", text_about("new"))
    promoted.remove("topic01.md")
    (promoted.documents / "topic02.md").rename(promoted.documents / "moved.md")
    run = promoted.refresh().checked()
    counts = run.metadata["deduped_documents"]
    assert [counts[f"num_{kind}"] for kind in ("added", "moved", "deleted", "updated")] == [1, 1, 1, 0]
    after = promoted.points()
    new_texts = {point.payload["text"] for point in after.values()} - before
    assert run.metadata["embeddings"]["num_embedded"] == len(new_texts)
    assert_same_points(after, promoted.points_built_from_nothing())


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM documents WHERE document_id LIKE '%topic02%'",
        "UPDATE documents SET content_hash=hex(randomblob(32)) WHERE document_id LIKE '%topic02%'",
        "UPDATE documents SET location='{}' WHERE document_id LIKE '%topic02%'",
        "DROP TABLE parses; CREATE TABLE parses (something TEXT)",
    ],
)
def test_wrong_ledger_entries_do_not_reach_production(promoted: Pipeline, damage: str) -> None:
    connection = sqlite3.connect(promoted.state_dir / "ledger.sqlite")
    connection.executescript(damage)
    connection.close()
    promoted.write("topic03.md", text_about("changed"))
    promoted.remove("topic04.md")
    promoted.refresh().checked()
    assert promoted.problems_of_production() == ()
    assert_same_points(promoted.points(), promoted.points_built_from_nothing())


@pytest.mark.parametrize("damage", ["emptied", "garbled"])
def test_a_corrupt_stored_text_is_read_from_its_source_again(promoted: Pipeline, damage: str) -> None:
    promoted.write("new.md", text_about("new"))
    promoted.materialize("raw_documents").checked()
    newest = max((promoted.state_dir / "texts").rglob("?" * 64), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(b"" if damage == "emptied" else newest.read_bytes()[:-9] + b"\xff" * 9)
    if damage == "garbled":  # noticed only when the text is read
        assert "Materialize raw_documents to read the sources again" in promoted.refresh().message
    promoted.refresh().checked()
    assert "filesystem:new.md" in promoted.served()


def test_an_emptied_folder_needs_approval_even_without_a_ledger(promoted: Pipeline) -> None:
    export = promoted.export()
    _forget_ledger(promoted)
    promoted.documents.rename(promoted.home / "away")
    promoted.documents.mkdir()
    promoted.refresh().checked()
    assert promoted.export() == export
    status = promoted.succeed("status")
    assert "none of 20 documents is left. 20 documents kept." in status
    assert token_in(status)


@pytest.mark.parametrize("damage", ["not SQLite", "another version"])
def test_an_unreadable_ledger_is_recreated(promoted: Pipeline, damage: str) -> None:
    export = promoted.export()
    path = promoted.state_dir / "ledger.sqlite"
    if damage == "not SQLite":
        path.write_bytes(b"no database at all" * 100)
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version=99")
        connection.commit()
        connection.close()
    run = promoted.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False
    assert run.metadata["embeddings"]["num_embedded"] == 0
    assert promoted.export() == export


@pytest.mark.parametrize("lost", ["vector_store", "vector_store/knowledge_base/generations"])
def test_an_emptied_vector_store_is_rebuilt_in_full(promoted: Pipeline, lost: str) -> None:
    before = promoted.points()
    shutil.rmtree(promoted.state_dir / lost)
    assert promoted.command("export")[:2] == (1, "")
    run = promoted.refresh().checked()
    assert run.metadata["embeddings"]["num_embedded"] == 0  # all vectors are in the cache
    assert_same_points(promoted.points(), before)


def test_a_store_emptied_after_many_refreshes_is_rebuilt_by_the_next_one(promoted: Pipeline) -> None:
    # An empty store counts its readings from 1. The artifacts of a refresh must not be the oldest for that.
    for _ in range(KEPT_REFRESHES + 1):
        promoted.materialize("raw_documents").checked()
    before = promoted.points()
    shutil.rmtree(promoted.state_dir / "vector_store")
    promoted.refresh().checked()
    assert_same_points(promoted.points(), before)


def _manifest(pipeline: Pipeline) -> Path:
    production = pipeline.production().production
    return pipeline.state_dir / "vector_store/knowledge_base/generations" / str(production) / "manifest.json"


def _as_of_another_version(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))


@pytest.mark.parametrize("ledger", ["kept", "lost"])
@pytest.mark.parametrize("damage", ["another version", "manifest lost", "not JSON", "a file lost"])
def test_a_generation_that_cannot_be_read_is_rebuilt(promoted: Pipeline, damage: str, ledger: str) -> None:
    before, serving = promoted.points(), promoted.production().production
    path = _manifest(promoted)
    if damage == "manifest lost":
        path.unlink()
    elif damage == "not JSON":
        path.write_text("{")
    elif damage == "a file lost":
        max((path.parent / "shard").rglob("*.dat"), key=lambda file: file.stat().st_size).unlink()
    else:
        _as_of_another_version(path)
    if ledger == "lost":
        _forget_ledger(promoted)
    code, _, errors = promoted.command("search", "anything")
    assert (code, len(errors.splitlines())) == (1, 1)
    if damage != "a file lost":
        assert promoted.status()["production"]["problem"]
    run = promoted.refresh().checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert promoted.production().previous == serving
    assert_same_points(promoted.points(), before)
    assert promoted.problems_of_production() == ()


@pytest.mark.parametrize("name", ["production.json", "knowledge_base.json"])
@pytest.mark.parametrize("damage", ["another version", "not JSON"])
def test_a_store_with_an_unreadable_pointer_is_set_aside_and_recreated(
    promoted: Pipeline, name: str, damage: str
) -> None:
    before = promoted.points()
    folder = promoted.state_dir / "vector_store/knowledge_base"
    kept = sorted(path.name for path in (folder / "generations").iterdir())
    if damage == "not JSON":
        (folder / name).write_text("{")
    else:
        _as_of_another_version(folder / name)
    code, _, errors = promoted.command("search", "anything")
    if name == "production.json":
        assert (code, len(errors.splitlines())) == (1, 1)
        assert "materialize all assets" in errors
    run = promoted.refresh().checked()
    assert run.metadata["embeddings"]["num_embedded"] == 0
    (aside,) = folder.parent.glob("*--unreadable-*")
    assert sorted(path.name for path in (aside / "generations").iterdir()) == kept, "nothing is deleted"
    assert_same_points(promoted.points(), before)


def test_artifacts_of_another_version_are_recreated(promoted: Pipeline) -> None:
    for path in (promoted.state_dir / "artifacts").rglob("header.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    alone = promoted.materialize("chunks")
    assert "materialize" in alone.message
    promoted.refresh().checked()


def test_everything_but_the_vector_store_can_be_lost_at_once(promoted: Pipeline) -> None:
    export = promoted.export()
    for name in ("artifacts", "texts"):
        shutil.rmtree(promoted.state_dir / name)
    _forget_ledger(promoted)
    run = promoted.refresh().checked()
    assert run.metadata["raw_documents"]["num_parsed"] == NUM_DOCUMENTS
    assert run.metadata["embeddings"]["num_embedded"] == 0
    assert promoted.export() == export
    assert promoted.search(question_about(7))[0]["filename"] == "topic07.md"


def test_lost_texts_are_read_again_from_the_sources(promoted: Pipeline) -> None:
    shutil.rmtree(promoted.state_dir / "texts")
    run = promoted.refresh(launchpad={"chunk_size": 48}).checked()
    assert run.metadata["raw_documents"]["num_parsed"] == NUM_DOCUMENTS
    assert len(promoted.served()) == NUM_DOCUMENTS
