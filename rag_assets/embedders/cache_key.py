"""Keys of cached vectors: one for every distinct input of an embedding model."""

import hashlib
import json

from rag_assets.records import EmbeddingModel


def cache_key(model: EmbeddingModel, text: str) -> bytes:
    """Return 32 bytes, different whenever the vector of a document's text may differ.

    They depend on the text and on every setting of the model with an influence on the vector, so not on its query
    prefix. JSON, rather than joined strings, keeps `("a", "bc")` and `("ab", "c")` apart.
    """
    parts = {
        "provider": model.provider,
        "endpoint": model.endpoint,
        "model": model.model,
        "revision": model.revision,
        "dimensions": model.dimensions,
        "prefix": model.document_prefix,
        "text": text,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).digest()
