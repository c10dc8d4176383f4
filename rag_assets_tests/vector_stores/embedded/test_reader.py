"""Damage found before the engine opens a generation, and many readers at once."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_assets.disk.content_hash import content_sha256
from rag_assets.errors import (
    GenerationDamaged,
    VectorStoreUnavailable,
)
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Name, size and content of every file. Not the time: the engine writes unchanged pages back."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, content_sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_truncate, _remove, _remove_config, _remove_segment])
def test_a_damaged_generation_is_not_opened_and_its_files_are_unchanged(
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


@pytest.mark.usefixtures("one_index")
def test_a_generation_with_intact_file_sizes_but_lost_points_is_not_read(
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


@pytest.mark.usefixtures("one_index")
def test_an_engine_config_of_another_size_is_not_damage(store: EmbeddedVectorStore, root: Path) -> None:
    stage(store, "g1", [point(1)])
    config = root / "kb" / "generations" / "g1" / "shard" / "edge_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()), indent=4))
    assert everything(store, "g1").keys() == {point_id(1)}
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.seal(manifest("g2", 1))


@pytest.mark.slow
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
