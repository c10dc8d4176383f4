"""A candidate damaged after it was staged never goes live, and damaged production is never copied."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.changes.content_changes import content_changes
from rag_assets.disk.content_hash import content_sha256
from rag_assets.errors import GenerationDamaged
from rag_assets.evaluation.report_checks import report_digest
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.measurement import measure_candidate
from rag_assets.refresh.promotion import promote
from rag_assets.settings import load_settings
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.documents import corpus, stage
from rag_assets_tests.kept_folder import KeptFolder
from rag_assets_tests.reports import VERDICT_CONFIGURATION, passing_report
from rag_assets_tests.stored_damage import DAMAGE, damage
from rag_assets_tests.vector_stores.conftest import ONE_INDEX, open_backend

TEXTS = [f"first line of {number}\nsecond line of {number} here\n" for number in range(20)]
OLD = corpus({f"{number}.md": text for number, text in enumerate(TEXTS[:15])})
NEW = corpus({f"{number}.md": text for number, text in enumerate(TEXTS)})


def fill(store: VectorStore) -> None:
    """Make g1 production, and g2 its candidate."""
    first = stage(store, "g1", OLD, TEXTS).manifest
    store.promote("g1", None)
    stage(store, "g2", NEW, TEXTS, base=first, held=OLD, expected_production="g1")


@pytest.fixture(scope="module")
def embedded_folder(tmp_path_factory: pytest.TempPathFactory) -> KeptFolder:
    folder = tmp_path_factory.mktemp("embedded") / "store"
    with open_backend(ONE_INDEX, folder) as backend:
        fill(backend.open())
    return KeptFolder(folder)


@pytest.fixture(params=[ONE_INDEX, "in_memory"])
def store(request: pytest.FixtureRequest, embedded_folder: KeptFolder) -> Iterator[VectorStore]:
    """Production is g1, and g2 is its candidate."""
    with open_backend(request.param, embedded_folder.folder) as backend:
        store = backend.open()
        if request.param == ONE_INDEX:
            embedded_folder.restore()
        else:
            fill(store)
        yield store


@pytest.fixture
def knowledge_base(
    store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KnowledgeBase]:
    monkeypatch.chdir(tmp_path)
    found = KnowledgeBase(load_settings(state_dir=tmp_path / "kb", embedding_model="wordllama"))
    found.__dict__["vector_store"] = store
    yield found
    found.ledger.close()


def digest_of(store: VectorStore, generation: str) -> str:
    manifest = store.manifest(generation)
    return manifest.digest if manifest else "gone"


def go_live(knowledge_base: KnowledgeBase, digest: str) -> ProductionState:
    configuration: dict[str, Any] = dict(VERDICT_CONFIGURATION)
    report = passing_report("g2", digest)
    knowledge_base.vector_store.record_report("g2", report_digest(report))
    return promote(
        knowledge_base.vector_store,
        knowledge_base.ledger,
        report,
        base="g1",
        readings={},
        verdict_configuration=configuration,
        threshold=0.75,
        documents=NEW,
        contents=content_changes((), NEW),
    ).state


def test_an_undamaged_candidate_goes_live(knowledge_base: KnowledgeBase, store: VectorStore) -> None:
    digest = digest_of(store, "g2")
    assert measure_candidate(knowledge_base, "g2", digest, NEW).digest == digest
    assert go_live(knowledge_base, digest) == ProductionState("g2", previous="g1")


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("when", ["before evaluation", "before promotion"])
def test_a_damaged_candidate_is_discarded_and_never_goes_live(
    knowledge_base: KnowledgeBase, store: VectorStore, kind: str, when: str
) -> None:
    digest = digest_of(store, "g2")
    damage(store, "g2", kind)
    with pytest.raises(GenerationDamaged, match="g2"):
        if when == "before evaluation":
            measure_candidate(knowledge_base, "g2", digest, NEW)
        else:
            go_live(knowledge_base, digest)
    assert store.production_state() == ProductionState("g1")
    assert store.generations() == ["g1"]


@pytest.mark.parametrize("store", [ONE_INDEX], indirect=True)
@pytest.mark.parametrize("kind", DAMAGE)
def test_an_older_generation_without_hashes_is_compared_point_by_point(
    knowledge_base: KnowledgeBase, store: VectorStore, kind: str
) -> None:
    assert isinstance(store, EmbeddedVectorStore)
    path = store.folders.home / "generations" / "g2" / "manifest.json"
    stored = json.loads(path.read_text())
    del stored["hashes"], stored["manifest"]["damaged"]
    path.write_text(json.dumps(stored))
    digest = digest_of(store, "g2")
    measure_candidate(knowledge_base, "g2", digest, NEW)
    damage(store, "g2", kind)
    with pytest.raises(GenerationDamaged, match="g2"):
        measure_candidate(knowledge_base, "g2", digest, NEW)
    assert store.generations() == ["g1"]


@pytest.mark.parametrize("store", [ONE_INDEX], indirect=True)
def test_an_older_generation_is_compared_by_the_sha256_of_its_files(
    knowledge_base: KnowledgeBase, store: VectorStore
) -> None:
    assert isinstance(store, EmbeddedVectorStore)
    folder = store.folders.home / "generations" / "g2"
    stored = json.loads((folder / "manifest.json").read_text())
    assert all(value.startswith("crc32:") for value in stored["hashes"].values())
    stored["hashes"] = {name: content_sha256(folder / "shard" / name) for name in stored["hashes"]}
    (folder / "manifest.json").write_text(json.dumps(stored))
    assert store.verify("g2")
    damage(store, "g2", "two vectors swapped")
    with pytest.raises(GenerationDamaged, match="g2 is damaged"):
        measure_candidate(knowledge_base, "g2", digest_of(store, "g2"), NEW)


def test_damage_of_production_itself_is_recorded_and_nothing_is_discarded(
    knowledge_base: KnowledgeBase, store: VectorStore
) -> None:
    damage(store, "g1", "two vectors swapped")
    with pytest.raises(GenerationDamaged, match="It is in production"):
        measure_candidate(knowledge_base, "g1", digest_of(store, "g1"), OLD)
    assert store.generations() == ["g1", "g2"]
    marked = store.manifest("g1")
    assert marked is not None
    assert marked.damaged
