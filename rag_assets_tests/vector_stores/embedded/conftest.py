"""An embedded store in a temporary folder."""

from pathlib import Path

import pytest

from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(root: Path) -> EmbeddedVectorStore:
    return EmbeddedVectorStore(root, "kb")
