"""A backup holds one moment, and is restored as it was, or refused."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from qdrant_client import QdrantClient

from rag_assets.errors import BackupUnusable, ProductionHeld, RefusedError, SupersededError
from rag_assets.ledgers.base import Spending
from rag_assets.ledgers.lease import live_holder
from rag_assets.operations.backup import create, index, places
from rag_assets.operations.backup import restore as restoring
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.histories.world import Killed
from rag_assets_tests.operations.conftest import Installations, all_points, assert_equal_points
from rag_assets_tests.pipeline import assert_same_points

pytestmark = pytest.mark.slow


def test_a_backup_restores_everything_on_an_empty_machine(installations: Installations) -> None:
    with (
        installations.original() as living
    ):  # of a run that died: the metadata tables have that of all others
        living.ledger.add_spending("dead", Spending("documents", "small", 700, 0.25))
    made = installations.back_up()
    restored = installations.restore()
    assert restored.state == made.index.state
    assert made.num_texts_lost == 0
    with installations.original() as before, installations.elsewhere() as after:
        state = before.vector_store.production_state()
        assert after.vector_store.production_state() == state
        assert after.vector_store.readings() == before.vector_store.readings()
        assert after.vector_store.find_knowledge_base_id() == before.vector_store.find_knowledge_base_id()
        for generation in (state.production, state.previous):
            assert_equal_points(all_points(after, generation), all_points(before, generation))
            assert after.vector_store.manifest(str(generation)) == before.vector_store.manifest(
                str(generation)
            )
            assert after.vector_store.report_digest(str(generation)) == before.vector_store.report_digest(
                str(generation)
            )
            assert after.documents_of(generation) == before.documents_of(generation)
        assert after.text_store.existing() == before.text_store.existing()
        for batches in ("all_parses", "all_signatures"):
            assert list(getattr(after.ledger, batches)()) == list(getattr(before.ledger, batches)())
        assert after.ledger.spending() == before.ledger.spending() != {}
        vectors = [dict(one) for one in before.ledger.all_vectors()]
        assert [one.keys() for one in after.ledger.all_vectors()] == [one.keys() for one in vectors]


def test_a_refresh_after_a_restore_embeds_and_writes_nothing(installations: Installations) -> None:
    installations.back_up()
    installations.restore()
    batches = installations.world.embedder.batches
    batches.clear()
    installations.world.refresh(state_dir=installations.other).checked()
    # The probe is asked by every refresh.
    assert not [text for batch in batches for text in batch if "letter" in text]
    with installations.original() as before, installations.elsewhere() as after:
        assert (
            after.vector_store.production_state().production
            == before.vector_store.production_state().production
        )


def test_a_rollback_after_a_restore_returns_to_the_previous_generation(installations: Installations) -> None:
    state = installations.back_up().index.state
    installations.restore()
    with installations.elsewhere() as knowledge_base:
        assert knowledge_base.vector_store.rollback(state.production).production == state.previous


def test_a_hold_is_restored_with_its_person_its_time_and_its_reason(installations: Installations) -> None:
    with installations.original() as knowledge_base:
        production = knowledge_base.vector_store.production_state().production
        before = knowledge_base.vector_store.rollback(production, by="ana", reason="wrong prices")
    installations.back_up()
    assert installations.restore().state == before
    assert installations.world.refresh(state_dir=installations.other).is_held


def test_every_file_is_private(installations: Installations) -> None:
    installations.back_up()
    for folder, folders, files in os.walk(installations.backup):
        for name in folders:
            assert (Path(folder) / name).stat().st_mode & 0o777 == 0o700
        for name in files:
            assert (Path(folder) / name).stat().st_mode & 0o777 == 0o600


def test_a_folder_with_files_is_not_used(installations: Installations) -> None:
    installations.backup.mkdir()
    (installations.backup / "notes.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not empty"):
        installations.back_up()
    assert [path.name for path in installations.backup.iterdir()] == ["notes.txt"]


def test_an_empty_knowledge_base_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="nothing is in production"):
        Installations(tmp_path).back_up()
    assert not (tmp_path / "backup").exists()


# Damage


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_flipped_bit_in_any_file_is_refused_before_anything_is_touched(
    installations: Installations,
) -> None:
    installations.back_up()
    assert len(_files(installations.backup)) > 10
    for path in _files(installations.backup):
        data = path.read_bytes()
        for place in {0, len(data) // 2, len(data) - 1} if data else ():
            changed = bytearray(data)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(BackupUnusable, match=path.name.replace(".", "[.]")):
                installations.restore()
        path.write_bytes(data)
    assert not installations.other.exists()
    installations.restore()


def test_every_bit_of_the_index_counts(installations: Installations) -> None:
    installations.back_up()
    path = installations.backup / index.INDEX
    data = path.read_bytes()
    with places.backup_place(str(installations.backup)) as place:
        for position in range(0, len(data), 7):
            for bit in range(8):
                changed = bytearray(data)
                changed[position] ^= 1 << bit
                path.write_bytes(changed)
                with pytest.raises(BackupUnusable):
                    index.read_index(place, {index.INDEX})


def test_a_shortened_missing_or_added_file_is_refused_by_name(installations: Installations) -> None:
    installations.back_up()
    texts = installations.backup / create.TEXTS
    data = texts.read_bytes()
    texts.write_bytes(data[:-1])
    with pytest.raises(BackupUnusable, match=r"texts\.parquet has .* instead of"):
        installations.restore()
    texts.unlink()
    with pytest.raises(BackupUnusable, match=r"texts\.parquet is missing"):
        installations.restore()
    texts.write_bytes(data)
    (installations.backup / "ledger" / "more").write_bytes(b"")
    with pytest.raises(BackupUnusable, match=r"ledger/more does not belong"):
        installations.restore()
    (installations.backup / "ledger" / "more").unlink()
    elsewhere = installations.backup.parent / "elsewhere"
    texts.rename(elsewhere)
    texts.symlink_to(elsewhere)
    with pytest.raises(BackupUnusable, match=r"texts\.parquet is not a file"):
        installations.restore()
    assert not installations.other.exists()


def test_a_newer_backup_is_refused_with_its_version(installations: Installations) -> None:
    with mock.patch.object(index, "FORMAT_VERSION", index.FORMAT_VERSION + 1):
        installations.back_up()
    with pytest.raises(BackupUnusable, match="has format version 2"):
        installations.restore()


def test_an_interrupted_backup_is_refused(installations: Installations) -> None:
    with mock.patch.object(create, "write_index", side_effect=Killed), pytest.raises(Killed):
        installations.back_up()
    with pytest.raises(
        BackupUnusable, match=r"has no index\.json: it is no backup, or its backup was interrupted"
    ):
        installations.restore()


def test_a_damaged_previous_generation_is_left_out_and_named(installations: Installations) -> None:
    with installations.original() as knowledge_base:
        state = knowledge_base.vector_store.production_state()
        knowledge_base.vector_store.mark_damaged(str(state.previous), "a file changed")
    assert installations.back_up().index.left_out == {state.previous: "a file changed"}
    assert installations.restore().state.previous is None


# A refresh or a promotion meanwhile


@contextlib.contextmanager
def _meanwhile(happen: Any) -> Iterator[None]:
    """Call something once, after the first generation was written to the backup."""
    original, done = create.write_points, []

    def write(*arguments: Any) -> None:
        original(*arguments)
        if not done:
            done.append(True)
            happen()

    with mock.patch.object(create, "write_points", write):
        yield


def test_a_backup_during_a_refresh_holds_the_state_before_it(installations: Installations) -> None:
    """In the middle: the refresh has staged a candidate, and goes on after the backup."""
    world, made = installations.world, []
    world.write("one", "a.md", "the third version of a letter")

    @contextlib.contextmanager
    def around(step: str) -> Iterator[None]:
        if step == "eval_report":
            made.append(installations.back_up())
        yield

    with installations.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
        points = all_points(knowledge_base, before.production)
    world.refresh(around=around).checked()
    assert made[0].index.state == before
    assert installations.restore().state == before
    with installations.elsewhere() as knowledge_base:
        assert_equal_points(all_points(knowledge_base, before.production), points)
        assert knowledge_base.vector_store.generations() == sorted(before.kept)
        # The lease of the refresh belongs to the original.
        assert live_holder(knowledge_base.ledger) is None


def test_a_promotion_during_a_backup_does_not_mix_into_it(installations: Installations) -> None:
    """Two promotions: the generations of the backup are deleted while they are read."""
    world = installations.world
    with installations.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
        points = {name: all_points(knowledge_base, name) for name in before.kept}

    def promote_twice() -> None:
        for version in ("third", "fourth"):
            world.write("one", "a.md", f"the {version} version of a letter")
            world.refresh().checked()

    with _meanwhile(promote_twice):
        made = installations.back_up()
    with installations.original() as knowledge_base:
        now = knowledge_base.vector_store.production_state()
        assert not now.kept & before.kept
    assert (made.index.state, made.changed_to) == (before, now.production)
    assert installations.restore().state == before
    with installations.elsewhere() as knowledge_base:
        for name in before.kept:
            assert_equal_points(all_points(knowledge_base, name), points[name])
            assert knowledge_base.documents_of(name)
        texts = knowledge_base.text_store.existing()
        assert {
            one.content_hash for name in before.kept for one in knowledge_base.documents_of(name)
        } <= texts


def test_a_backup_begins_again_if_its_generations_are_gone_before_they_are_open(
    installations: Installations,
) -> None:
    world, original, done = installations.world, create._moment, []

    def moment(knowledge_base: Any) -> Any:
        found = original(knowledge_base)
        if not done:
            done.append(True)
            for version in ("third", "fourth"):
                world.write("one", "a.md", f"the {version} version of a letter")
                world.refresh().checked()
        return found

    with mock.patch.object(create, "_moment", moment):
        made = installations.back_up()
    with installations.original() as knowledge_base:
        assert made.index.state == knowledge_base.vector_store.production_state()
    assert installations.restore().state == made.index.state


# A living installation


def test_a_living_installation_is_replaced_by_name_only(installations: Installations) -> None:
    installations.back_up()
    installations.world.write("one", "a.md", "the third version of a letter")
    installations.world.refresh().checked()
    with installations.original() as knowledge_base:
        before = knowledge_base.vector_store.production_state()
    with pytest.raises(RefusedError, match="--into-living knowledge_base"):
        installations.restore_here(into_living=None)
    with pytest.raises(RefusedError, match="not another"):
        installations.restore_here(into_living="another")
    with installations.original() as knowledge_base:
        assert knowledge_base.vector_store.production_state() == before


def test_a_backup_of_another_knowledge_base_replaces_no_living_one(installations: Installations) -> None:
    installations.back_up()
    installations.world.settings["collection"] = "another"
    try:
        installations.world.refresh().checked()
        with installations.original() as knowledge_base:
            before = knowledge_base.vector_store.production_state()
        with pytest.raises(
            RefusedError, match="a backup of knowledge base knowledge_base, and another is in use"
        ):
            installations.restore_here(into_living="another")
        with installations.original() as knowledge_base:
            assert knowledge_base.vector_store.production_state() == before
        restored = installations.restore()
        assert restored.notes == ["this is a backup of knowledge base knowledge_base, restored as another"]
    finally:
        del installations.world.settings["collection"]


def test_the_living_production_becomes_the_previous_one(installations: Installations) -> None:
    backed_up = installations.back_up().index.state
    with installations.original() as knowledge_base:
        points = all_points(knowledge_base, backed_up.production)
        identity = knowledge_base.vector_store.find_knowledge_base_id()
    installations.world.write("one", "a.md", "the third version of a letter")
    installations.world.refresh().checked()
    with installations.original() as knowledge_base:
        living = knowledge_base.vector_store.production_state().production
    state = installations.restore_here(by="ana", reason="yesterday was right").state
    assert state.previous == living
    assert state.production not in (backed_up.production, living)  # a name is never used twice
    with installations.original() as knowledge_base:
        assert_equal_points(all_points(knowledge_base, state.production), points)
        assert knowledge_base.vector_store.find_knowledge_base_id() == identity
        assert knowledge_base.vector_store.rollback(state.production).production == living
        knowledge_base.vector_store.resume()
    installations.world.refresh().checked()


def test_a_refresh_over_a_restored_production_goes_on_from_it(installations: Installations) -> None:
    installations.back_up()
    installations.world.write("one", "a.md", "the third version of a letter")
    installations.world.refresh().checked()
    installations.restore_here()
    installations.world.refresh().checked()
    with installations.original() as knowledge_base:
        production = knowledge_base.vector_store.production_state().production
        texts = {point.payload["text"] for point in all_points(knowledge_base, production).values()}
    assert "the third version of a letter" in texts


def test_a_held_production_is_not_replaced(installations: Installations) -> None:
    installations.back_up()
    with installations.original() as knowledge_base:
        production = knowledge_base.vector_store.production_state().production
        held = knowledge_base.vector_store.rollback(production, by="ana", reason="wrong prices")
    with pytest.raises(ProductionHeld, match="wrong prices"):
        installations.restore_here()
    with installations.original() as knowledge_base:
        assert knowledge_base.vector_store.production_state() == held


def test_the_hold_in_a_backup_holds_a_living_installation_too(installations: Installations) -> None:
    with installations.original() as knowledge_base:
        production = knowledge_base.vector_store.production_state().production
        knowledge_base.vector_store.rollback(production, by="ana", reason="wrong prices")
    backed_up = installations.back_up().index.state
    with installations.original() as knowledge_base:
        living = knowledge_base.vector_store.resume().production
    state = installations.restore_here().state
    assert state.hold is not None
    assert backed_up.hold is not None
    assert str(state.hold) == str(backed_up.hold)
    assert state.previous == living
    with installations.original() as knowledge_base:
        assert knowledge_base.vector_store.manifest(state.hold.generation) is not None


def test_a_promotion_during_a_restore_wins(installations: Installations) -> None:
    installations.back_up()
    installations.world.write("one", "a.md", "the third version of a letter")
    installations.world.refresh().checked()
    original = restoring._restore_generations

    def slow(one: Any, expected: Any) -> Any:
        state = original(one, expected)
        store = one.knowledge_base.vector_store
        store.rollback(expected.production, by="ana", reason="meanwhile")
        return state

    with (
        mock.patch.object(restoring, "_restore_generations", slow),
        pytest.raises(SupersededError),
    ):
        installations.restore_here()
    with installations.original() as knowledge_base:
        hold = knowledge_base.vector_store.production_state().hold
        assert hold is not None
        assert hold.reason == "meanwhile"


# Interruptions of a restore


STEPS = ("_restore_texts", "_restore_ledger", "_restore_generation", "_restore_generations")


@pytest.mark.parametrize(
    ("step", "living"),
    [("_restore_artifacts", False), *((step, living) for step in STEPS for living in (False, True))],
)
def test_a_restore_killed_anywhere_is_run_again(
    installations: Installations, step: str, living: bool
) -> None:
    made = installations.back_up()
    run = installations.restore
    if living:
        installations.world.write("one", "a.md", "the third version of a letter")
        installations.world.refresh().checked()
        run = installations.restore_here
    original = getattr(restoring, step)

    def killed_after(*arguments: Any) -> Any:
        original(*arguments)
        raise Killed

    with mock.patch.object(restoring, step, killed_after), pytest.raises(Killed):
        run()
    opened = installations.original if living else installations.elsewhere
    with opened() as knowledge_base:
        served = knowledge_base.vector_store.production_state().production
        assert served is None if not living else served is not None
    state = run().state
    with opened() as knowledge_base, installations.original() as original_base:
        store = knowledge_base.vector_store
        assert store.production_state() == state
        manifest = store.manifest(str(state.production))
        assert manifest is not None
        assert manifest.digest == made.index.generations[0].manifest.digest
        assert set(store.generations()) == state.kept
        assert knowledge_base.documents_of(state.production)
        assert original_base.vector_store.production_state().production is not None


def test_a_finished_restore_is_not_done_twice(installations: Installations) -> None:
    installations.back_up()
    state = installations.restore().state
    again = installations.restore()
    assert (again.was_there, again.state) == (True, state)


# Identity, benchmark, other stores


def test_a_copy_gets_an_id_of_its_own(installations: Installations) -> None:
    made = installations.back_up()
    installations.restore(identity="new")
    with installations.elsewhere() as knowledge_base:
        identity = knowledge_base.vector_store.find_knowledge_base_id()
        assert identity not in (None, made.index.knowledge_base_id)
        assert knowledge_base.ledger.documents(str(made.index.state.production)) is not None


def test_a_missing_benchmark_is_restored_and_another_one_stays(installations: Installations) -> None:
    made = installations.back_up()
    assert made.has_benchmark
    benchmark = installations.world.benchmark
    content = benchmark.read_text()
    benchmark.unlink()
    assert installations.restore().benchmark == benchmark
    assert benchmark.read_text() == content
    shutil.rmtree(installations.other)
    benchmark.write_text("{}\n")
    beside = installations.restore().benchmark_beside
    assert beside is not None
    assert (benchmark.read_text(), beside.read_text()) == ("{}\n", content)


def test_status_tells_the_same_after_a_restore(installations: Installations) -> None:
    from rag_assets.inspection.status import status

    installations.back_up()
    installations.restore()
    with installations.original() as before, installations.elsewhere() as after:
        told, told_after = status(before), status(after)
    for report in (told, told_after):
        del report["knowledge_base"], report["decisions"]
    assert told_after == told


def test_a_lost_text_is_taken_from_the_points(installations: Installations) -> None:
    shutil.rmtree(installations.world.state_dir / "texts")
    assert installations.back_up().num_texts_lost == 0
    installations.restore()
    with installations.elsewhere() as knowledge_base:
        assert knowledge_base.text_store.existing()


def test_a_backup_of_one_store_restores_into_the_other(installations: Installations, tmp_path: Path) -> None:
    """From the embedded engine to a server, and from there back."""
    client = QdrantClient(":memory:")
    made = installations.back_up()
    with installations.original() as knowledge_base:
        points = all_points(knowledge_base, made.index.state.production)
    with installations.elsewhere() as on_server, places.backup_place(str(installations.backup)) as place:
        on_server.__dict__["vector_store"] = ServerVectorStore(client, "knowledge_base")
        assert restoring.restore(on_server, place).state == made.index.state
        restored = all_points(on_server, made.index.state.production)
        assert {name: point.payload for name, point in restored.items()} == {
            name: point.payload for name, point in points.items()
        }
        with places.backup_place(str(tmp_path / "from server")) as second:
            create.back_up(on_server, second)
    shutil.rmtree(installations.other)
    assert installations.restore(tmp_path / "from server").state == made.index.state
    with installations.elsewhere() as knowledge_base:
        assert_same_points(all_points(knowledge_base, made.index.state.production), points)
