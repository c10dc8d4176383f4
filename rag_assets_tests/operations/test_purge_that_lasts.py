"""A purge outlives the state folder, the vector store, and a backup made before."""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import pytest
from qdrant_client import QdrantClient

from rag_assets.errors import RefusedError, VectorStoreUnavailable
from rag_assets.fingerprint import name_hash
from rag_assets.ingestion.purged_documents import PurgedDocument, PurgedDocuments
from rag_assets.inspection.status import describe, status
from rag_assets.operations.backup.places import backup_place
from rag_assets.operations.backup.restore import restore
from rag_assets.operations.purge import purge as purging
from rag_assets.operations.purge.purge import lift, purge
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.canary import CANARY, places_of
from rag_assets_tests.histories.world import Killed
from rag_assets_tests.operations.conftest import Installations
from rag_assets_tests.operations.purging import SECRET, purged, record_of

pytestmark = pytest.mark.slow


def lose_everything_but_the_vector_store(installations: Installations) -> None:
    state_dir = installations.world.state_dir
    kept = installations.world.home / "kept"
    (state_dir / "vector_store").rename(kept)
    shutil.rmtree(state_dir)
    state_dir.mkdir(mode=0o700)
    kept.rename(state_dir / "vector_store")


def served(installations: Installations) -> set[str]:
    with installations.original() as knowledge_base:
        return set(knowledge_base.served_documents())


def test_a_document_stays_out_after_the_loss_of_the_state_folder(
    canary: Installations, caplog: pytest.LogCaptureFixture
) -> None:
    purged(canary)
    lose_everything_but_the_vector_store(canary)
    with canary.original() as knowledge_base:
        assert "1 purged document kept out" in describe(status(knowledge_base))
    with caplog.at_level(logging.WARNING, "rag_assets"):
        canary.world.refresh().checked()
    assert "the state folder lacked the record of 1 purged document" in caplog.text
    assert SECRET not in served(canary)
    assert places_of(CANARY, canary.world.state_dir) == []
    with canary.original() as knowledge_base:
        one = record_of(knowledge_base)
        assert (one.by, one.reason, one.is_unfinished) == ("ana", "a request", False)
    assert (canary.world.state_dir / "purged" / "knowledge_base.json").exists()
    caplog.clear()
    canary.world.refresh().checked()
    assert "lacked" not in caplog.text


def test_a_document_stays_out_after_the_loss_of_the_vector_store(canary: Installations) -> None:
    purged(canary)
    shutil.rmtree(canary.world.state_dir / "vector_store")
    canary.world.refresh().checked()
    assert SECRET not in served(canary)
    lose_everything_but_the_vector_store(canary)  # with the record that the refresh has put there
    canary.world.refresh().checked()
    assert SECRET not in served(canary)


def test_a_document_stays_out_after_the_loss_of_the_state_folder_beside_a_server(
    canary: Installations,
) -> None:
    client = QdrantClient(":memory:")
    canary.back_up()
    with canary.elsewhere() as knowledge_base, backup_place(str(canary.backup)) as place:
        knowledge_base.__dict__["vector_store"] = ServerVectorStore(client, "knowledge_base")
        restore(knowledge_base, place)
        purge(knowledge_base, "secret.md", by="ana", reason="a request")
        del knowledge_base.__dict__["vector_store"]  # the client stays open
    shutil.rmtree(canary.other)
    with canary.elsewhere() as knowledge_base:
        knowledge_base.__dict__["vector_store"] = ServerVectorStore(client, "knowledge_base")
        assert record_of(knowledge_base).reason == "a request"
        knowledge_base.purged_documents.write_back()
        assert SECRET not in {one.document_id for one in knowledge_base.ingestion().documents()}


def test_a_purge_killed_before_the_exchange_keeps_it_out_after_the_loss_of_the_state_folder(
    canary: Installations,
) -> None:
    with mock.patch.object(purging, "_exchange", side_effect=Killed), pytest.raises(Killed):
        purged(canary)
    lose_everything_but_the_vector_store(canary)
    with canary.original() as knowledge_base:
        [line] = [one for one in describe(status(knowledge_base)).splitlines() if "UNFINISHED" in one]
    assert f"run `rag-assets purge {SECRET}` again" in line
    canary.world.refresh().checked()
    assert SECRET not in served(canary)
    purged(canary)
    assert places_of(CANARY, canary.world.state_dir) == []


def test_nothing_is_purged_if_the_store_does_not_take_the_record(canary: Installations) -> None:
    failing = mock.patch.object(
        EmbeddedVectorStore, "put_records", side_effect=VectorStoreUnavailable("no answer")
    )
    with canary.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
    with failing, pytest.raises(VectorStoreUnavailable):
        purged(canary)
    with canary.original() as knowledge_base:
        assert knowledge_base.vector_store.production_state() == before
        assert len(knowledge_base.purged_documents.kept_out()) == 0


def test_a_lifted_purge_stays_lifted_after_the_loss_of_the_state_folder(canary: Installations) -> None:
    purged(canary)
    with canary.original() as knowledge_base:
        lift(knowledge_base, "secret.md", by="bo", reason="")
    lose_everything_but_the_vector_store(canary)
    canary.world.refresh().checked()
    assert SECRET in served(canary)


# The record


def test_a_finished_record_names_nothing(canary: Installations) -> None:
    with mock.patch.object(purging, "_remove_traces", side_effect=Killed), pytest.raises(Killed):
        purged(canary)
    state_dir = canary.world.state_dir
    assert {Path(place.partition(" ")[0]).name for place in places_of("secret.md", state_dir)} >= {
        "knowledge_base.json",
        "purged.json",
    }
    purged(canary)
    assert places_of("secret.md", state_dir) == []
    with canary.original() as knowledge_base:
        one = record_of(knowledge_base)
        assert (one.document_id, one.source_uris) == ("", ())
        assert "secret.md" not in describe(status(knowledge_base))


def test_a_message_that_waits_for_slack_names_it_no_more(canary: Installations) -> None:
    folder = canary.world.state_dir / "alerts" / "knowledge_base"
    folder.mkdir(parents=True)
    waiting = {"title": "refused", "payload": {"text": f"quarantined: {SECRET}"}, "queued_at": 1.0}
    (folder / "alerts.json").write_text(json.dumps({"waiting": [waiting]}))
    purged(canary)
    assert "quarantined: a purged document" in (folder / "alerts.json").read_text()
    assert places_of("secret.md", canary.world.state_dir) == []


@pytest.mark.parametrize("spelled", ["id", "path", "URI", "hash"])
def test_a_finished_purge_is_found_by_any_name(canary: Installations, spelled: str) -> None:
    purged(canary)
    names = {
        "id": SECRET,
        "path": "secret.md",
        "URI": canary.world.path("one", "secret.md").as_uri(),
        "hash": name_hash(SECRET)[:12],
    }
    with canary.original() as knowledge_base:
        if spelled != "id":
            with pytest.raises(RefusedError, match=r"purged on .* by ana: a request"):
                purge(knowledge_base, names[spelled])
        assert lift(knowledge_base, names[spelled]).document_hash == name_hash(SECRET)


def test_who_when_and_why_of_the_first_purge_stay(canary: Installations) -> None:
    purged(canary)
    with canary.original() as knowledge_base:
        before = record_of(knowledge_base)
        purge(knowledge_base, SECRET, by="bo", reason="once more")
        after = record_of(knowledge_base)
        assert (after.at, after.by, after.reason) == (before.at, "ana", "a request")
        assert not after.is_unfinished
        assert [one["by"] for one in status(knowledge_base)["decisions"][:2]] == ["bo", "ana"]


def test_a_record_of_a_version_with_names_keeps_the_document_out(canary: Installations) -> None:
    purged(canary)
    lose_everything_but_the_vector_store(canary)
    (canary.world.state_dir / "vector_store" / "knowledge_base" / "purged.json").unlink()
    old = {
        "document_id": SECRET,
        "at": "2026-11-01T00:00:00+00:00",
        "by": "ana",
        "reason": "a request",
        "source_uris": [canary.world.path("one", "secret.md").as_uri()],
        "contents": [],
        "completed_at": "2026-11-01T00:00:01+00:00",
        "lifted_at": "",
        "lifted_by": "",
    }
    path = canary.world.state_dir / "purged" / "knowledge_base.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"format_version": 1, "documents": [old]}))
    canary.world.refresh().checked()
    assert SECRET not in served(canary)
    with canary.original() as knowledge_base:
        assert lift(knowledge_base, old["source_uris"][0]).reason == "a request"
    assert "secret.md" not in path.read_text()


def test_of_two_records_the_later_counts_and_of_equal_ones_the_stricter(canary: Installations) -> None:
    out = PurgedDocument("ab" * 32, "2026-11-01T00:00:00+00:00", completed_at="2026-11-01T00:00:00+00:00")
    lifted = PurgedDocument("ab" * 32, out.at, lifted_at="2026-11-01T00:00:00+00:00")
    later = PurgedDocument("ab" * 32, out.at, lifted_at="2026-11-02T00:00:00+00:00")
    with canary.original() as knowledge_base:
        purged_documents = PurgedDocuments(knowledge_base.settings, knowledge_base.vector_store)
        for mine, theirs, is_out in ((out, lifted, True), (lifted, out, True), (out, later, False)):
            purged_documents.put([mine])
            knowledge_base.vector_store.put_records(
                "purged", {theirs.document_hash: json.dumps(asdict(theirs))}
            )
            assert bool(len(purged_documents.kept_out())) is is_out


# Backups


def test_an_old_backup_beside_a_record_of_the_purge_brings_nothing_back(canary: Installations) -> None:
    """Into an installation whose vector store was emptied: its state folder knows of the purge."""
    canary.back_up()
    purged(canary)
    shutil.rmtree(canary.world.state_dir / "vector_store")
    with canary.original() as knowledge_base, backup_place(str(canary.backup)) as place:
        restored = restore(knowledge_base, place)
        assert restored.num_purged == 1
        assert any("older than a purge" in note for note in restored.notes)
    assert places_of(CANARY, canary.world.state_dir) == []
    assert places_of("secret.md", canary.world.state_dir) == []
    canary.world.refresh().checked()
    assert SECRET not in served(canary)


def test_a_restored_purge_outlives_the_state_folder(canary: Installations, tmp_path: Path) -> None:
    purged(canary)
    canary.back_up(tmp_path / "after")
    assert places_of("secret.md", tmp_path / "after") == []
    canary.restore(tmp_path / "after")
    (canary.other / "purged" / "knowledge_base.json").unlink()
    canary.world.refresh(state_dir=canary.other).checked()
    with canary.elsewhere() as knowledge_base:
        assert SECRET not in knowledge_base.served_documents()
