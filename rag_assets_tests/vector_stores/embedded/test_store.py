"""The embedded store as a whole."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rag_assets.disk.sparse_copy import allocated_bytes
from rag_assets.settings import load_settings
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.registry import build_vector_store
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
)


def test_building_the_store_touches_nothing(root: Path) -> None:
    built = build_vector_store(load_settings(qdrant_url=None, state_dir=root, collection="kb"))
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


@pytest.mark.usefixtures("one_index")
def test_a_production_deleted_by_hand_is_none(store: EmbeddedVectorStore, root: Path) -> None:
    stage(store, "g1", [point(1)])
    store.promote("g1", None)
    shutil.rmtree(root / "kb" / "generations" / "g1")
    assert store.production_state() == ProductionState()
    stage(store, "g2", [point(2)])
    assert store.promote("g2", None) == ProductionState("g2", None, None)


@pytest.mark.slow
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
