"""What only the embedded store can get wrong: files, processes, and the engine's own habits."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.disk import state_files
from rag_assets.disk.sparse_copy import allocated_bytes
from rag_assets.errors import (
    DiskUnusable,
    GenerationDamaged,
    HandleClosed,
    RefusedError,
    StateFormatError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.records import ProductionState, SparseVector
from rag_assets.vector_stores import build_vector_store
from rag_assets.vector_stores.embedded.folders import GenerationFolders
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.embedded.writer import is_worn
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(root: Path) -> EmbeddedVectorStore:
    return EmbeddedVectorStore(root, "kb")


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Name, size and content of every file. Not the time: the engine writes pages back as they were."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ── the folder ──


def test_building_the_store_touches_nothing(root: Path) -> None:
    built = build_vector_store(qdrant_url=None, qdrant_api_key=None, state_dir=root, collection="kb")
    assert built.production_state() == ProductionState()
    assert built.generations() == []
    assert not root.exists()


def test_importing_the_stores_does_not_import_the_engine_or_the_client() -> None:
    code = (
        "import sys, rag_assets.vector_stores.embedded.store, rag_assets.vector_stores.server.store\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('qdrant_edge', 'qdrant_client', 'dagster')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


@pytest.mark.parametrize(
    "content", ['{"format_version": 2, "production": "g1"}', '{"production": "g1"}', "{", "[]"]
)
def test_a_state_file_of_another_format_is_refused_and_left_as_it_is(
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


def test_a_manifest_from_before_runs_were_recorded_is_read(store: EmbeddedVectorStore, root: Path) -> None:
    sealed = stage(store, "g1", [point(1)])
    path = root / "kb" / "generations" / "g1" / "manifest.json"
    stored = json.loads(path.read_text())
    del stored["manifest"]["run_id"]
    path.write_text(json.dumps(stored))
    assert store.manifest("g1") == sealed


def test_a_production_that_somebody_deleted_by_hand_is_none(store: EmbeddedVectorStore, root: Path) -> None:
    stage(store, "g1", [point(1)])
    store.promote("g1", None)
    shutil.rmtree(root / "kb" / "generations" / "g1")
    assert store.production_state() == ProductionState()
    stage(store, "g2", [point(2)])
    assert store.promote("g2", None) == ProductionState("g2", None, None)


# ── files that are not what was sealed ──


def _largest(shard: Path) -> Path:
    return max((p for p in shard.rglob("*.dat")), key=lambda p: p.stat().st_size)


def _truncate(shard: Path) -> Path:
    path = _largest(shard)
    os.truncate(path, path.stat().st_size // 2)
    return path


def _remove(shard: Path) -> Path:
    path = _largest(shard)
    path.unlink()
    return path


def _remove_config(shard: Path) -> Path:
    path = shard / "edge_config.json"
    path.unlink()
    return path


def _remove_segment(shard: Path) -> Path:
    (segment,) = (shard / "segments").iterdir()
    shutil.rmtree(segment)
    return segment


@pytest.mark.parametrize("damage", [_truncate, _remove, _remove_config, _remove_segment])
def test_a_damaged_generation_is_not_opened_and_nothing_else_of_it_is_touched(
    store: EmbeddedVectorStore, root: Path, damage: Callable[[Path], Path]
) -> None:
    stage(store, "g1", [point(n) for n in range(20)])
    stage(store, "g2", [point(n) for n in range(20)])
    store.promote("g1", None)
    shard = root / "kb" / "generations" / "g1" / "shard"
    damage(shard)
    before = tree(root)
    with pytest.raises(GenerationDamaged, match="not opened"):
        store.read("g1")
    with pytest.raises(GenerationDamaged, match="not opened"), store.write("g3", DIMENSIONS, "g1"):
        pass
    assert tree(root) == before
    damage(root / "kb" / "generations" / "g2" / "shard")
    before = tree(root)
    with pytest.raises(GenerationDamaged, match="not opened"):
        store.promote("g2", "g1")
    assert tree(root) == before
    assert store.production_state().production == "g1"


def test_a_generation_that_lost_points_behind_its_file_sizes_is_not_read(
    store: EmbeddedVectorStore, root: Path
) -> None:
    stage(store, "g1", [point(n) for n in range(20)])
    path = root / "kb" / "generations" / "g1" / "manifest.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "points": 21}))
    with pytest.raises(GenerationDamaged, match="20 points instead of 21"):
        store.read("g1")
    with (
        pytest.raises(GenerationDamaged, match="20 points instead of 21"),
        store.write("g2", DIMENSIONS, "g1"),
    ):
        pass
    path.write_text(json.dumps(stored))
    (mappings,) = path.parent.rglob("mutable_id_tracker.mappings")
    mappings.write_bytes(bytes(mappings.stat().st_size))
    with pytest.raises(VectorStoreUnavailable, match="g1"):
        store.read("g1")


def test_a_rewritten_engine_config_of_another_size_does_not_count_as_damage(
    store: EmbeddedVectorStore, root: Path
) -> None:
    stage(store, "g1", [point(1)])
    config = root / "kb" / "generations" / "g1" / "shard" / "edge_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()), indent=4))
    assert everything(store, "g1").keys() == {point_id(1)}
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.seal(manifest("g2", 1))


# ── space ──


def test_too_little_space_is_said_before_anything_is_written(
    store: EmbeddedVectorStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, "g1", [point(n) for n in range(20)])
    free = [0]
    base_bytes = allocated_bytes(root / "kb" / "generations" / "g1" / "shard")
    monkeypatch.setattr(
        state_files.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, free[0])
    )
    free[0] = 256 * 2**20 - 1
    with pytest.raises(DiskUnusable, match=str(root)), store.write("g2", DIMENSIONS, None):
        pass
    free[0] = 256 * 2**20 + int(base_bytes * 1.2) - 4096
    with pytest.raises(DiskUnusable, match=str(root)), store.write("g2", DIMENSIONS, "g1"):
        pass
    assert store.generations() == ["g1"]
    free[0] = 256 * 2**20 + int(base_bytes * 1.2) + 4096
    with store.write("g2", DIMENSIONS, "g1") as writer:
        free[0] = 2**20
        with pytest.raises(DiskUnusable, match="free"):
            writer.upsert([point(30)])
    assert store.generations() == ["g1"]


def test_ten_generations_of_churn_stay_small_on_disk(disk: Path) -> None:
    store = EmbeddedVectorStore(disk, "kb")
    stage(store, "g0", [point(n) for n in range(500)])
    for i in range(1, 11):
        with store.write(f"g{i}", DIMENSIONS, f"g{i - 1}") as writer:
            writer.delete([point_id(n) for n in range((i - 1) * 20, i * 20)])
            writer.upsert([point(n) for n in range(480 + i * 20, 500 + i * 20)])
            writer.upsert([point(n, version=i) for n in range(300, 320)])
            writer.seal(manifest(f"g{i}", 500))
    folder = disk / "kb" / "generations"
    sizes = [allocated_bytes(folder / f"g{i}") for i in range(11)]
    logical = sum(p.stat().st_size for p in (folder / "g10").rglob("*") if p.is_file())
    assert sizes[10] < 1.5 * sizes[0] < 20e6 < logical
    assert everything(store, "g10").keys() == {point_id(n) for n in range(200, 700)}


def test_a_worn_base_is_rebuilt_and_answers_as_the_copy_does(
    store: EmbeddedVectorStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, "g1", [point(n) for n in range(400)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(n) for n in range(200)])
        writer.delete([point_id(n) for n in range(250)])
        writer.set_payload({point_id(300): {"title": None}})
        writer.seal(manifest("g2", 150))
    generations = root / "kb" / "generations"
    stored = json.loads((generations / "g2" / "manifest.json").read_text())
    assert stored["tombstones"] == 250

    def build(name: str) -> None:
        with store.write(name, DIMENSIONS, "g2") as writer:
            writer.delete([point_id(260)])
            writer.upsert([point(n) for n in range(900, 910)])
            writer.seal(manifest(name, 159))

    build("copied")
    monkeypatch.setattr("rag_assets.vector_stores.embedded.writer.REBUILD_MIN_TOMBSTONES", 100)
    build("rebuilt")
    assert json.loads((generations / "copied" / "manifest.json").read_text())["tombstones"] == 251
    assert json.loads((generations / "rebuilt" / "manifest.json").read_text())["tombstones"] == 1

    one, other = everything(store, "copied"), everything(store, "rebuilt")
    assert one.keys() == other.keys()
    for key, copied in one.items():
        rebuilt = other[key]
        assert copied.payload == rebuilt.payload
        assert copied.sparse == rebuilt.sparse
        np.testing.assert_array_equal(copied.vector, rebuilt.vector)
    readers = store.read("copied"), store.read("rebuilt")
    for seed in range(20):
        question = unit_vector(seed), SparseVector((seed, 20, 30), (1.0, 2.0, 0.5)), 25
        assert readers[0].search(*question) == readers[1].search(*question)


def test_a_base_is_rebuilt_only_when_both_limits_are_passed() -> None:
    for tombstones, points, worn in (
        (1000, 10, False),
        (1001, 10, True),
        (1001, 4004, False),
        (1002, 4004, True),
        (25_000, 100_000, False),
        (25_001, 100_000, True),
    ):
        assert is_worn({"tombstones": tombstones, "points": points}) is worn


# ── several processes ──

_WRITER = """
import sys, time
from pathlib import Path
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.embedded.writer import is_worn
from rag_assets_tests.vector_stores.samples import DIMENSIONS, manifest, point
store = EmbeddedVectorStore(Path(sys.argv[1]), "kb")
with store.write("g2", DIMENSIONS, "g1") as writer:
    writer.upsert([point(n) for n in range(1000, 1100)])
    print("half-way", flush=True)
    time.sleep(60)
"""


def test_killing_a_writer_leaves_nothing_visible_and_production_as_it_was(
    store: EmbeddedVectorStore, root: Path
) -> None:
    stage(store, "g1", [point(n) for n in range(50)])
    store.promote("g1", None)
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(root)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half-way\n"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert store.production_state() == ProductionState("g1", None, None)
    assert everything(store, "g1").keys() == {point_id(n) for n in range(50)}
    assert store.generations() == ["g1", "g2"]
    assert store.manifest("g2") is None
    with pytest.raises(GenerationDamaged):
        store.read("g2")
    store.discard("g2")
    assert store.generations() == ["g1"]
    assert [path.name for path in (root / "kb" / "generations").iterdir()] == ["g1"]
    with store.write("g2", DIMENSIONS, "g1") as again:
        again.upsert([point(60)])
        again.seal(manifest("g2", 51))
    assert store.promote("g2", "g1").production == "g2"


def _promote(root: Path, name: str, start: Any, results: Any) -> None:
    store = EmbeddedVectorStore(root, "kb")
    start.wait()
    try:
        store.promote(name, "g0")
        results.put((name, "won"))
    except SupersededError:
        results.put((name, "superseded"))


def test_of_processes_that_promote_at_once_exactly_one_wins(store: EmbeddedVectorStore, root: Path) -> None:
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


def test_promotions_of_threads_never_overtake_one_another(store: EmbeddedVectorStore) -> None:
    """The window between reading the pointer and writing it is made wide, and the lock must close it."""
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


def test_many_processes_read_one_generation_at_once(store: EmbeddedVectorStore, root: Path) -> None:
    stage(store, "g1", [point(n) for n in range(100)])
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
        from rag_assets_tests.vector_stores.samples import everything, unit_vector
        store = EmbeddedVectorStore(Path(sys.argv[1]), "kb")
        for _ in range(5):
            assert len(everything(store, "g1")) == 100
            assert len(store.read("g1").search(unit_vector(1), None, 10)[0]) == 10
    """)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0


def test_a_reader_and_a_writer_survive_a_fork(store: EmbeddedVectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(20)])
    reader = store.read("g1")
    with store.write("g2", DIMENSIONS, "g1") as writer:
        child = os.fork()
        if child == 0:  # the parent's handle would hang here: SIGALRM ends it, and the test fails
            signal.alarm(30)
            try:
                found = [p.id for p in reader.search(unit_vector(3), None, 5)[0]]
                assert found == [p.id for p in store.read("g1").search(unit_vector(3), None, 5)[0]]
                assert reader.count() == 20
                with pytest.raises(HandleClosed, match="fork"):
                    writer.upsert([point(99)])
                writer.__exit__(None, None, None)
                reader.close()
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert reader.count() == 20
        writer.upsert([point(99)])
        writer.seal(manifest("g2", 21))
    assert len(everything(store, "g2")) == 21


def test_a_writer_whose_name_was_sealed_by_another_meanwhile_loses(store: EmbeddedVectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as late:
        late.upsert([point(2)])
        stage(store, "g1", [point(1)])
        with pytest.raises(VectorStoreUnavailable, match="another process sealed"):
            late.seal(manifest("g1", 1))
    assert everything(store, "g1").keys() == {point_id(1)}
    assert store.generations() == ["g1"]


def test_a_writer_is_used_once(store: EmbeddedVectorStore) -> None:
    writer = store.write("g1", DIMENSIONS, None)
    with writer:
        pass
    with pytest.raises(RefusedError), writer:
        pass


# ── the engine ──


def test_an_error_of_the_engine_ends_the_stage(
    store: EmbeddedVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qdrant_edge

    class PanicException(BaseException):
        """What the engine raises on an error inside it: no `Exception`."""

    def panic(*_: object) -> None:
        raise PanicException("index out of bounds")

    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        with monkeypatch.context() as patch:
            patch.setattr(qdrant_edge.UpdateOperation, "upsert_points", panic)
            with pytest.raises(VectorStoreUnavailable, match="PanicException"):
                writer.upsert([point(2)])
        with pytest.raises(HandleClosed, match="not being written"):
            writer.upsert([point(3)])
        with pytest.raises(HandleClosed, match="not being written"):
            writer.seal(manifest("g1", 1))
    assert store.generations() == []


def test_an_interruption_is_passed_on_and_discards(
    store: EmbeddedVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qdrant_edge

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def run() -> None:
        with store.write("g1", DIMENSIONS, None) as writer:
            monkeypatch.setattr(qdrant_edge.UpdateOperation, "upsert_points", interrupt)
            writer.upsert([point(2)])

    with pytest.raises(KeyboardInterrupt):
        run()
    assert store.generations() == []


def test_a_lock_that_is_never_let_go_is_named(
    store: EmbeddedVectorStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, "g1", [point(1)])
    monkeypatch.setattr("rag_assets.vector_stores.embedded.folders.LOCK_TIMEOUT_SECONDS", 0.2)
    with store.folders.locked(), pytest.raises(VectorStoreUnavailable, match="lock"):
        EmbeddedVectorStore(root, "kb").promote("g1", None)
    assert store.promote("g1", None).production == "g1"
