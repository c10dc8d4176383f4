from pathlib import Path

import pytest
from pydantic import SecretStr

from rag_assets.errors import GenerationDamaged
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.documents import document, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


class DamagedStore(InMemoryVectorStore):
    """Says of what is named that it is not whole."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged: set[str] = set()

    def check_whole(self, generation: str) -> None:
        if generation in self.damaged:
            raise GenerationDamaged(f"{generation} is not whole")


@pytest.fixture
def knowledge_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnowledgeBase:
    monkeypatch.chdir(tmp_path)
    return KnowledgeBase(load_settings(state_dir=tmp_path, embedding_model="wordllama"))


@pytest.fixture
def store(knowledge_base: KnowledgeBase) -> DamagedStore:
    """Two generations with the fingerprint of the knowledge base; g1 serves."""
    store = DamagedStore()
    for name in ("g1", "g2"):
        stage(store, name, [document("a.md", "a\n")], ["a\n"], fingerprint=knowledge_base.fingerprint())
    store.state = ProductionState("g1")
    knowledge_base.__dict__["vector_store"] = store
    return store


@pytest.mark.parametrize("name", ["wordllama", "text-embedding-3-small", "openai:text-embedding-3-small"])
def test_documents_and_questions_are_embedded_by_one_embedder(tmp_path: Path, name: str) -> None:
    settings = load_settings(state_dir=tmp_path, embedding_model=name, openai_api_key=SecretStr("sk-test"))
    knowledge_base = KnowledgeBase(settings)
    embedder = knowledge_base.embedder
    assert knowledge_base.embedder_for(embedder.model) is embedder


def test_a_candidate_is_built_on_current_production(
    knowledge_base: KnowledgeBase, store: DamagedStore
) -> None:
    assert knowledge_base.reusable_production() == store.manifests["g1"]
    store.state = ProductionState("g2", previous="g1")
    assert knowledge_base.reusable_production() == store.manifests["g2"]


def test_incomplete_production_is_never_reused(knowledge_base: KnowledgeBase, store: DamagedStore) -> None:
    store.damaged.add("g1")
    for _ in range(2):
        assert knowledge_base.reusable_production() is None
