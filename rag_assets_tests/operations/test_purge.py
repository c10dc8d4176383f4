"""A purged document is in nothing that is kept, and does not come back."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from qdrant_client import QdrantClient

from rag_assets.errors import GateFailed, LedgerUnavailable, RefusedError
from rag_assets.fingerprint import name_hash
from rag_assets.inspection.status import describe, status
from rag_assets.inspection.trace import trace
from rag_assets.ledgers.lease import live_holder
from rag_assets.operations.backup.places import backup_place
from rag_assets.operations.backup.restore import restore
from rag_assets.operations.purge import purge as purging
from rag_assets.operations.purge.purge import CopiesFound, lift, purge
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.canary import CANARY, places_of
from rag_assets_tests.histories.world import Killed
from rag_assets_tests.operations.conftest import Installations, all_points, assert_equal_points
from rag_assets_tests.operations.purging import SECRET, TITLE_TOO, purged, record_of, texts_of
from rag_assets_tests.tracking.conftest import ask, everything_in

pytestmark = pytest.mark.slow


def test_the_sentence_is_in_zero_bytes_of_the_state_folder(canary: Installations) -> None:
    state_dir = canary.world.state_dir
    before = places_of(CANARY, state_dir)
    for part in ("vector_store", "artifacts", "texts", "ledger.sqlite"):
        assert any(part in place for place in before), part
    purged(canary)
    assert places_of(CANARY, state_dir) == []
    canary.world.refresh().checked()
    canary.world.write("one", "a.md", "another version of a letter")
    canary.world.refresh().checked()
    assert places_of(CANARY, state_dir) == []


def test_the_metadata_tables_name_the_document_no_more(canary: Installations) -> None:
    tables = canary.world.state_dir / "metadata.sqlite"
    assert "secret.md" in everything_in(tables)
    assert CANARY not in everything_in(tables)
    purged(canary)
    assert "secret.md" not in everything_in(tables)
    assert places_of("secret.md", tables.parent / "tracking") == []
    assert b"secret.md" not in tables.read_bytes()
    canary.world.refresh().checked()
    assert "secret.md" not in everything_in(tables)
    [row] = ask(tables, "SELECT decided_by, reason FROM rag_promotions WHERE kind='purge'")
    assert row == {"decided_by": "ana", "reason": "a request"}
    with canary.original() as knowledge_base:
        lift(knowledge_base, SECRET, by="bo", reason="")
    canary.world.refresh().checked()
    assert ask(tables, f"SELECT source FROM rag_documents WHERE document_id='{SECRET}'") == [
        {"source": "one"}
    ]


def test_a_backup_made_afterwards_does_not_hold_the_sentence(canary: Installations, tmp_path: Path) -> None:
    canary.back_up(tmp_path / "before")
    assert any("production.parquet" in place for place in places_of(CANARY, tmp_path / "before"))
    purged(canary)
    canary.back_up(tmp_path / "after")
    assert places_of(CANARY, tmp_path / "after") == []
    canary.restore(tmp_path / "after")
    assert places_of(CANARY, canary.other) == []
    canary.world.refresh(state_dir=canary.other).checked()
    assert places_of(CANARY, canary.other) == []


def test_a_backup_made_before_is_restored_without_the_document(canary: Installations) -> None:
    canary.back_up()
    purged(canary)
    restored = canary.restore_here()
    assert restored.num_purged == 1
    assert places_of(CANARY, canary.world.state_dir) == []
    assert "the second version of a letter" in texts_of(canary)
    with canary.original() as knowledge_base:
        manifest = knowledge_base.production_manifest()
        assert manifest is not None
        assert manifest.documents_count == len(knowledge_base.documents_of(manifest.generation))
    canary.world.refresh().checked()
    assert places_of(CANARY, canary.world.state_dir) == []


def test_all_other_documents_stay_as_they_are(canary: Installations) -> None:
    with canary.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
        points = {
            role: all_points(knowledge_base, getattr(before, role)) for role in ("production", "previous")
        }
    report = purged(canary)
    with canary.original() as knowledge_base:
        state = knowledge_base.vector_store.production_state()
        assert state == report.state
        assert not state.kept & before.kept  # a name is never used twice
        assert set(knowledge_base.vector_store.generations()) == state.kept
        for role, earlier in points.items():
            expected = {
                name: point
                for name, point in earlier.items()
                if {one["document_id"] for one in point.payload["locations"]} != {SECRET}
            }
            assert_equal_points(all_points(knowledge_base, getattr(state, role)), expected)
        assert knowledge_base.vector_store.rollback(state.production).production == state.previous


def test_the_next_refresh_reads_nothing_else_again(canary: Installations) -> None:
    purged(canary)
    canary.world.embedder.batches.clear()
    canary.world.refresh().checked()
    assert not [text for batch in canary.world.embedder.batches for text in batch if "letter" in text]
    assert SECRET not in _served(canary)


def _served(installations: Installations) -> set[str]:
    with installations.original() as knowledge_base:
        return set(knowledge_base.served_documents())


def test_who_when_and_why_are_recorded_and_shown(canary: Installations) -> None:
    purged(canary)
    with canary.original() as knowledge_base:
        report = status(knowledge_base)
        one = record_of(knowledge_base)
        assert (one.by, one.reason, one.is_unfinished) == ("ana", "a request", False)
        assert report["decisions"][0]["decision"] == "purge"
        assert report["decisions"][0]["about"] == one.document_hash[:12]
        assert report["purged"][0]["document_hash"] == one.document_hash == name_hash(SECRET)
        assert "1 purged document kept out" in describe(report)
        traced = trace(knowledge_base, SECRET)
        assert traced["outcome"] == "purged"
        assert "ana: a request" in traced["explanation"][0]


def test_a_lifted_document_is_read_again(canary: Installations) -> None:
    purged(canary)
    with canary.original() as knowledge_base:
        assert lift(knowledge_base, "secret.md", by="bo", reason="").document_hash == name_hash(SECRET)
        assert status(knowledge_base)["purged"] == []
        with pytest.raises(RefusedError, match="--list"):
            lift(knowledge_base, "secret.md", by="bo", reason="")
    canary.world.refresh().checked()
    assert SECRET in _served(canary)


def test_a_purge_during_a_hold_leaves_the_hold(canary: Installations) -> None:
    with canary.original() as knowledge_base:
        production = knowledge_base.vector_store.production_state().production
        before = knowledge_base.vector_store.rollback(production, by="bo", reason="wrong prices")
    canary.world.write("one", "a.md", "the third version of a letter")
    assert canary.world.refresh().is_held  # its candidate waits, and has the sentence too
    state = purged(canary).state
    assert state.hold is not None
    assert str(state.hold) == str(before.hold)
    assert places_of(CANARY, canary.world.state_dir) == []
    with canary.original() as knowledge_base:
        assert knowledge_base.vector_store.manifest(state.hold.generation) is not None
    assert canary.world.refresh().is_held
    with canary.original() as knowledge_base:
        knowledge_base.vector_store.resume()
    canary.world.refresh().checked()
    assert "the third version of a letter" in texts_of(canary)
    assert places_of(CANARY, canary.world.state_dir) == []


# Names and copies


def test_an_unknown_or_ambiguous_name_changes_nothing(canary: Installations) -> None:
    canary.world.write("two", "a.md", "another letter")
    canary.world.refresh().checked()
    with canary.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
        with pytest.raises(RefusedError, match=r"did you mean one:secret\.md"):
            purge(knowledge_base, "secre.md")
        with pytest.raises(RefusedError, match="ambiguous"):
            purge(knowledge_base, "a.md")
        assert knowledge_base.vector_store.production_state() == before
        assert not knowledge_base.purged_documents.all()
        assert live_holder(knowledge_base.ledger) is None


def test_a_copy_is_named_and_a_person_decides(canary: Installations) -> None:
    canary.world.write("two", "copy.md", TITLE_TOO)
    canary.world.refresh().checked()
    with pytest.raises(CopiesFound, match=r"two:copy\.md.*--with-copies"):
        purged(canary)
    assert SECRET in _served(canary)
    report = purged(canary, copies="keep")
    assert report.copies == ["two:copy.md"]
    assert CANARY in " ".join(texts_of(canary))
    assert _served(canary) & {SECRET, "two:copy.md"} == {"two:copy.md"}
    canary.world.refresh().checked()
    assert _served(canary) & {SECRET, "two:copy.md"} == {"two:copy.md"}
    with canary.original() as knowledge_base:
        assert "SAME TEXT" in describe(status(knowledge_base))
    purged(canary, "copy.md")
    assert places_of(CANARY, canary.world.state_dir) == []


def test_copies_are_purged_together(canary: Installations) -> None:
    canary.world.write("two", "copy.md", TITLE_TOO)
    canary.world.refresh().checked()
    assert purged(canary, copies="with").document_ids == [SECRET, "two:copy.md"]
    assert places_of(CANARY, canary.world.state_dir) == []


def test_a_document_that_is_in_the_previous_generation_only_is_purged(canary: Installations) -> None:
    canary.world.remove("one", "secret.md")
    canary.world.refresh().checked()
    assert SECRET not in _served(canary)
    assert any("vector_store" in place for place in places_of(CANARY, canary.world.state_dir))
    assert purged(canary).verdict == ""  # production is the same, and is not measured
    assert places_of(CANARY, canary.world.state_dir) == []


# The gate


def test_a_production_below_the_threshold_asks_first(canary: Installations) -> None:
    with canary.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
        with pytest.raises(GateFailed, match=r"2 questions of the benchmark expected it.*--accept"):
            purge(knowledge_base, "anchor.md")
        assert knowledge_base.vector_store.production_state() == before
        assert set(knowledge_base.vector_store.generations()) == before.kept
        assert not knowledge_base.purged_documents.all()
        report = purge(knowledge_base, "anchor.md", accept=True)
        assert report.questions == 2
        assert "2 of 2 expected documents are missing" in report.verdict
        assert "one:anchor.md" not in knowledge_base.served_documents()


def test_a_benchmark_that_cannot_be_read_asks_first(canary: Installations) -> None:
    canary.world.benchmark.write_text("not JSON\n")
    with pytest.raises(GateFailed, match="--accept"):
        purged(canary)
    purged(canary, accept=True)
    assert places_of(CANARY, canary.world.state_dir) == []


# A refresh meanwhile


@pytest.mark.parametrize("step", ["deduped_documents", "staging_collection", "production_collection"])
def test_a_refresh_in_progress_does_not_bring_it_back(installations: Installations, step: str) -> None:
    """The refresh is paused past its lease, with the document in its reading."""
    installations.world.write("one", "secret.md", TITLE_TOO)

    @contextlib.contextmanager
    def around(name: str) -> Iterator[None]:
        if name == step:
            with installations.original() as knowledge_base:
                holder = live_holder(knowledge_base.ledger)
                assert holder is not None
                knowledge_base.ledger.release_lease(holder.owner)
            purged(installations)
        yield

    outcome = installations.world.refresh(around=around)
    assert not outcome.succeeded
    assert SECRET not in _served(installations)
    installations.world.refresh().checked()
    assert SECRET not in _served(installations)


def test_an_unfinished_purge_is_finished_by_the_deletion_of_the_next_refresh(canary: Installations) -> None:
    """Killed before the exchange, with the source away: nothing else would delete the document."""
    with mock.patch.object(purging, "_exchange", side_effect=Killed), pytest.raises(Killed):
        purged(canary)
    with canary.original() as knowledge_base:
        assert "UNFINISHED" in describe(status(knowledge_base))
    assert SECRET in _served(canary)
    canary.world.path("one", "secret.md").parent.rename(canary.world.home / "away")
    canary.world.refresh().checked()
    assert SECRET not in _served(canary)


# Interruptions


STEPS = ("_rebuild", "_pass_gate", "_records", "_exchange", "_remove_traces")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [False, True])
def test_a_purge_killed_anywhere_is_run_again(canary: Installations, step: str, before: bool) -> None:
    original = getattr(purging, step)

    def killed(*arguments: Any, **options: Any) -> Any:
        if not before:
            original(*arguments, **options)
        raise Killed

    with mock.patch.object(purging, step, killed), pytest.raises(Killed):
        purged(canary)
    purged(canary)
    assert places_of(CANARY, canary.world.state_dir) == []
    with canary.original() as knowledge_base:
        one = record_of(knowledge_base)
        assert not one.is_unfinished
        state = knowledge_base.vector_store.production_state()
        assert set(knowledge_base.vector_store.generations()) == state.kept
        assert live_holder(knowledge_base.ledger) is None
        assert knowledge_base.ledger.vectors([]) == {}


def test_a_purge_can_be_repeated(canary: Installations) -> None:
    purged(canary)
    state = purged(canary).state
    with canary.original() as knowledge_base:
        assert knowledge_base.vector_store.production_state() == state


def test_a_ledger_in_use_is_an_error_and_not_a_silence(canary: Installations) -> None:
    """A reader keeps an old version of the file."""
    import sqlite3

    connection = sqlite3.connect(canary.world.state_dir / "ledger.sqlite", isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM parses").fetchone()
    with (
        mock.patch("rag_assets.ledgers.sqlite_entries._PATIENCE_SECONDS", 0.1),
        pytest.raises(LedgerUnavailable, match="run the command again"),
    ):
        purged(canary)
    connection.close()
    purged(canary)
    assert places_of(CANARY, canary.world.state_dir) == []


def test_unreadable_leftovers_go_with_it(canary: Installations) -> None:
    state_dir = canary.world.state_dir
    leftover = state_dir / "ledger.sqlite.unreadable-1764500000"
    leftover.write_text(CANARY)
    aside = state_dir / "vector_store" / "knowledge_base--unreadable-0a1b2c3d"
    aside.mkdir()
    (aside / "file").write_text(CANARY)
    torn = state_dir / "texts" / "knowledge_base" / ".tmp-left"
    torn.write_text(CANARY)
    report = purged(canary)
    assert report.removed_aside == sorted([str(leftover), str(aside)])
    assert places_of(CANARY, state_dir) == []


def test_a_damaged_previous_generation_goes_without_a_successor(canary: Installations) -> None:
    with canary.original() as knowledge_base:
        state = knowledge_base.vector_store.production_state()
        knowledge_base.vector_store.mark_damaged(str(state.previous), "a file changed")
    report = purged(canary)
    assert report.lost == {"previous": "a file changed"}
    assert report.state.previous is None
    assert places_of(CANARY, canary.world.state_dir) == []


def test_a_damaged_list_of_purged_documents_stops_the_next_refresh(canary: Installations) -> None:
    purged(canary)
    path = canary.world.state_dir / "purged" / "knowledge_base.json"
    path.write_text(json.dumps({"format_version": 1, "documents": [{}]}))
    outcome = canary.world.refresh()
    assert outcome.kind == "StateFormatError"
    assert "purge them again" in outcome.message


def test_a_later_decision_counts_when_a_backup_is_restored(canary: Installations) -> None:
    purged(canary)
    canary.back_up()
    with canary.original() as knowledge_base:
        lifted = lift(knowledge_base, SECRET, by="bo", reason="")
        later = replace(lifted, lifted_at="2999-01-01T00:00:00+00:00")
        knowledge_base.purged_documents.put([later])
    canary.restore_here()
    with canary.original() as knowledge_base:
        assert len(knowledge_base.purged_documents.kept_out()) == 0
    with canary.elsewhere() as knowledge_base, backup_place(str(canary.backup)) as place:
        restore(knowledge_base, place)
        assert len(knowledge_base.purged_documents.kept_out()) == 1
        assert not record_of(knowledge_base).is_unfinished


def test_a_document_on_a_server_is_purged(canary: Installations) -> None:
    client = QdrantClient(":memory:")
    canary.back_up()
    with canary.elsewhere() as knowledge_base, backup_place(str(canary.backup)) as place:
        knowledge_base.__dict__["vector_store"] = ServerVectorStore(client, "knowledge_base")
        restore(knowledge_base, place)
        before = knowledge_base.vector_store.production_state()
        state = purge(knowledge_base, "secret.md", by="ana", reason="a request").state
        assert not state.kept & before.kept
        assert set(knowledge_base.vector_store.generations()) == state.kept
        for name in state.kept:
            texts = [point.payload["text"] for point in all_points(knowledge_base, name).values()]
            assert texts
            assert CANARY not in " ".join(texts)
        assert knowledge_base.vector_store.rollback(state.production).production == state.previous
