"""Embedders by the name in `RAG_EMBEDDING_MODEL`."""

from rag_assets.embedders.base import Embedder
from rag_assets.errors import ConfigurationError

LOCAL_NAMES = ("wordllama", "wordllama:l2_supercat_256")


def build_embedder(
    name: str,
    *,
    openai_api_key: str | None,
    openai_base_url: str | None,
    dimensions: int | None = None,
) -> Embedder:
    """Return the embedder of this name: `wordllama`, or a model of the OpenAI API, optionally after `openai:`.

    Raises:
        ConfigurationError: the name is empty or unknown, the key is missing, or the model has other dimensions.
    """
    name = name.strip()
    if name in LOCAL_NAMES:
        from rag_assets.embedders.wordllama import DIMENSIONS, WordLlamaEmbedder

        if dimensions not in (None, DIMENSIONS):
            raise ConfigurationError(f"{name} has {DIMENSIONS} dimensions; {dimensions} cannot be set")
        return WordLlamaEmbedder()
    provider, _, model_name = name.partition(":")
    if provider == "wordllama":
        raise ConfigurationError(
            f"RAG_EMBEDDING_MODEL is {name!r}; the only wordllama model is {LOCAL_NAMES[1]}"
        )
    # A model's own name may hold a colon (nomic-embed-text:v1.5), so only this prefix is one.
    model_name = model_name if provider == "openai" else name
    if not model_name:
        raise ConfigurationError(
            "RAG_EMBEDDING_MODEL has no model name; set it to wordllama or a model of the OpenAI API"
        )
    if not (openai_api_key or "").strip():
        raise ConfigurationError(
            f"OPENAI_API_KEY is not set, but the embedding model is {model_name}; set the key or "
            "RAG_EMBEDDING_MODEL=wordllama"
        )
    from rag_assets.embedders.openai import OpenAIEmbedder

    return OpenAIEmbedder(model_name, openai_api_key or "", openai_base_url, dimensions)
