"""Layout, state files and lock of the folder of an embedded store."""

import contextlib
import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import (
    StateFormatError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.vector_stores.embedded.folders import GenerationFolders
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.vector_stores.samples import (
    everything,
    point,
    point_id,
    stage,
)

pytestmark = pytest.mark.usefixtures("one_index")


def test_folders_and_state_files_are_private(store: EmbeddedVectorStore, root: Path) -> None:
    store.knowledge_base_id()
    stage(store, "g1", [point(1)])
    store.promote("g1", None)
    generation = root / "kb" / "generations" / "g1"
    for folder in (root, root / "kb", root / "kb" / "generations", generation, generation / "shard"):
        assert folder.stat().st_mode & 0o777 == 0o700
    for file in (
        root / "kb" / "production.json",
        root / "kb" / "knowledge_base.json",
        generation / "manifest.json",
    ):
        assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads((root / "kb" / "production.json").read_text()) == {
        "format_version": 1,
        "production": "g1",
        "previous": None,
        "held": None,
    }


@pytest.mark.parametrize("damage", [7, None, ["ana"], ""])
def test_a_hold_with_a_damaged_note_still_holds(
    store: EmbeddedVectorStore, root: Path, damage: object
) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2", by="ana", reason="prices are wrong")
    path = root / "kb" / "production.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"held_by": damage}))
    hold = store.production_state().hold
    assert hold is not None
    assert (hold.generation, hold.by, hold.reason) == ("g2", "", "prices are wrong")


@pytest.mark.parametrize(
    "content", ['{"format_version": 2, "production": "g1"}', '{"production": "g1"}', "{", "[]"]
)
def test_a_state_file_of_another_format_is_refused_and_unchanged(
    store: EmbeddedVectorStore, root: Path, content: str
) -> None:
    stage(store, "g1", [point(1)])
    store.knowledge_base_id()
    store.promote("g1", None)
    calls: list[tuple[Path, list[Callable[[], object]]]] = [
        (root / "kb" / "knowledge_base.json", [store.knowledge_base_id]),
        (
            root / "kb" / "production.json",
            [
                store.production_state,
                lambda: store.promote("g1", None),
                lambda: store.discard("g1"),
                store.resume,
            ],
        ),
        (
            root / "kb" / "generations" / "g1" / "manifest.json",
            [lambda: store.manifest("g1"), lambda: store.read("g1"), lambda: store.reject("g1", "why")],
        ),
    ]
    for path, operations in calls:
        good = path.read_text()
        path.write_text(content)
        for operation in operations:
            with pytest.raises(StateFormatError, match=path.name):
                operation()
        assert path.read_text() == content
        path.write_text(good)
    assert everything(store, "g1").keys() == {point_id(1)}


def test_a_manifest_of_another_format_inside_a_readable_file_is_refused(
    store: EmbeddedVectorStore, root: Path
) -> None:
    stage(store, "g1", [point(1)])
    path = root / "kb" / "generations" / "g1" / "manifest.json"
    stored = json.loads(path.read_text())
    stored["manifest"]["format_version"] = 2
    path.write_text(json.dumps(stored))
    with pytest.raises(StateFormatError):
        store.manifest("g1")
    with pytest.raises(StateFormatError):
        store.promote("g1", None)


def test_a_manifest_without_a_run_id_is_read(store: EmbeddedVectorStore, root: Path) -> None:
    sealed = stage(store, "g1", [point(1)])
    path = root / "kb" / "generations" / "g1" / "manifest.json"
    stored = json.loads(path.read_text())
    del stored["manifest"]["run_id"]
    path.write_text(json.dumps(stored))
    assert store.manifest("g1") == sealed


def _promote(root: Path, name: str, start: Any, results: Any) -> None:
    store = EmbeddedVectorStore(root, "kb")
    start.wait()
    try:
        store.promote(name, "g0")
        results.put((name, "won"))
    except SupersededError:
        results.put((name, "superseded"))


@pytest.mark.slow
def test_exactly_one_of_several_simultaneous_promotions_wins(store: EmbeddedVectorStore, root: Path) -> None:
    names = ["g1", "g2", "g3", "g4"]
    for name in ["g0", *names]:
        stage(store, name, [point(1)])
    store.promote("g0", None)
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(len(names)), context.Queue()
    processes = [context.Process(target=_promote, args=(root, name, start, results)) for name in names]
    for process in processes:
        process.start()
    outcomes = dict(results.get(timeout=60) for _ in names)
    for process in processes:
        process.join()
    winners = [name for name, outcome in outcomes.items() if outcome == "won"]
    assert len(winners) == 1
    assert store.production_state() == ProductionState(winners[0], "g0", None)


@pytest.mark.slow
def test_the_lock_serializes_promotions_of_threads(store: EmbeddedVectorStore) -> None:
    """A long delay between reading and writing the pointer. The lock must cover it."""
    for name in ("g0", "g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g0", None)
    write_state = GenerationFolders.write_state

    def slowly(self: GenerationFolders, state: ProductionState) -> ProductionState:
        time.sleep(0.2)
        return write_state(self, state)

    won: list[str] = []

    def run(name: str) -> None:
        with contextlib.suppress(SupersededError):
            store.promote(name, "g0")
            won.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GenerationFolders, "write_state", slowly)
        threads = [threading.Thread(target=run, args=(name,)) for name in ("g1", "g2", "g3")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(won) == 1
    assert store.production_state() == ProductionState(won[0], "g0", None)


def test_a_lock_held_too_long_is_reported(
    store: EmbeddedVectorStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, "g1", [point(1)])
    monkeypatch.setattr("rag_assets.vector_stores.embedded.folders.LOCK_TIMEOUT_SECONDS", 0.2)
    with store.folders.locked(), pytest.raises(VectorStoreUnavailable, match="lock"):
        EmbeddedVectorStore(root, "kb").promote("g1", None)
    assert store.promote("g1", None).production == "g1"
