"""Free space, copies and rebuilds of a base, killed and forked writers, errors of the engine."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag_assets.disk import state_files
from rag_assets.disk.sparse_copy import allocated_bytes
from rag_assets.errors import (
    DiskUnusable,
    GenerationDamaged,
    HandleClosed,
    RefusedError,
    VectorStoreUnavailable,
)
from rag_assets.records import SparseVector
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.embedded.writer import is_worn
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


@pytest.mark.usefixtures("one_index")
def test_too_little_space_is_reported_before_writing(
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_killing_a_writer_leaves_production_unchanged_and_no_manifest(
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


@pytest.mark.slow
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


@pytest.mark.usefixtures("one_index")
def test_a_writer_fails_if_another_sealed_its_name_first(store: EmbeddedVectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as late:
        late.upsert([point(2)])
        stage(store, "g1", [point(1)])
        with pytest.raises(VectorStoreUnavailable, match="another process sealed"):
            late.seal(manifest("g1", 1))
    assert everything(store, "g1").keys() == {point_id(1)}
    assert store.generations() == ["g1"]


@pytest.mark.usefixtures("one_index")
def test_a_writer_is_used_once(store: EmbeddedVectorStore) -> None:
    writer = store.write("g1", DIMENSIONS, None)
    with writer:
        pass
    with pytest.raises(RefusedError), writer:
        pass


@pytest.mark.usefixtures("one_index")
def test_an_engine_error_discards_the_candidate(
    store: EmbeddedVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qdrant_edge

    class PanicException(BaseException):
        """An internal error of the engine, not a subclass of `Exception`."""

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


@pytest.mark.usefixtures("one_index")
def test_an_interruption_propagates_and_discards_the_candidate(
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
