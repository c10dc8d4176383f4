"""`open_retriever`: the entry point of an application, configured by the environment alone."""

from pathlib import Path

import pytest

from rag_assets.errors import ConfigurationError, RefusedError
from rag_assets.knowledge_base import open_retriever
from rag_assets.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_reading_writes_nothing(folder: Path) -> None:
    with open_retriever() as retriever, pytest.raises(RefusedError, match="nothing is in production yet"):
        retriever.search("vacation")
    assert list(folder.iterdir()) == []


def test_unusable_settings_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DENSE_WEIGHT", "2")
    with pytest.raises(ConfigurationError, match="RAG_DENSE_WEIGHT"):
        open_retriever()


def test_leaving_the_block_closes_the_connection_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Settings] = []
    closed: list[str] = []

    class Store:
        def close(self) -> None:
            closed.append("store")

    def build(settings: Settings) -> Store:
        built.append(settings)
        return Store()

    monkeypatch.setattr("rag_assets.knowledge_base.build_vector_store", build)
    with open_retriever(load_settings(qdrant_url="http://qdrant:6333", collection="kb")):
        assert closed == []
    assert closed == ["store"]
    assert [(one.qdrant_url, one.collection) for one in built] == [("http://qdrant:6333", "kb")]
