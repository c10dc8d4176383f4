import pytest

from rag_assets.embedders.openai import OpenAIEmbedder
from rag_assets.embedders.registry import build_embedder
from rag_assets.embedders.wordllama import WordLlamaEmbedder
from rag_assets.errors import ConfigurationError


@pytest.mark.parametrize("name", ["wordllama", "wordllama:l2_supercat_256", " wordllama "])
def test_the_local_model_needs_no_key(name: str):
    assert isinstance(build_embedder(name, openai_api_key=None, openai_base_url=None), WordLlamaEmbedder)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("text-embedding-3-small", "text-embedding-3-small"),
        ("openai:text-embedding-3-large", "text-embedding-3-large"),
        ("nomic-embed-text:v1.5", "nomic-embed-text:v1.5"),
        ("BAAI/bge-m3", "BAAI/bge-m3"),
    ],
)
def test_any_other_name_is_a_model_of_the_openai_api(name: str, model: str):
    embedder = build_embedder(name, openai_api_key="sk-x", openai_base_url="http://h:1/v1", dimensions=64)
    assert isinstance(embedder, OpenAIEmbedder)
    assert (embedder.model.model, embedder.model.dimensions) == (model, 64)
    assert embedder.model.endpoint == "http://h:1/v1"


@pytest.mark.parametrize("key", [None, "", "  "])
def test_the_error_for_a_missing_key_names_both_ways_out(key: str | None):
    with pytest.raises(ConfigurationError) as caught:
        build_embedder("openai:text-embedding-3-small", openai_api_key=key, openai_base_url=None)
    assert str(caught.value) == (
        "OPENAI_API_KEY is not set, but the embedding model is text-embedding-3-small; set the key or "
        "RAG_EMBEDDING_MODEL=wordllama"
    )


@pytest.mark.parametrize("name", ["", "openai:", "wordllama:l3_supercat"])
def test_a_name_without_a_model_is_refused(name: str):
    with pytest.raises(ConfigurationError, match="RAG_EMBEDDING_MODEL"):
        build_embedder(name, openai_api_key="sk-x", openai_base_url=None)


def test_the_local_model_has_its_own_dimensions_only():
    build_embedder("wordllama", openai_api_key=None, openai_base_url=None, dimensions=256)
    with pytest.raises(ConfigurationError, match="256 dimensions; 128"):
        build_embedder("wordllama", openai_api_key=None, openai_base_url=None, dimensions=128)
