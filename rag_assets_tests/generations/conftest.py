import pytest

from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


@pytest.fixture
def store() -> InMemoryVectorStore:
    return InMemoryVectorStore()
