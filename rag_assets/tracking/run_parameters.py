"""The settings behind a run, for its parameters in MLflow."""

from contextlib import suppress
from typing import Any

from rag_assets.errors import RagAssetsError
from rag_assets.fingerprint import short_hash
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.tracking.records import DIED, Row

_ARTIFACTS = (
    "eval_report",
    "staging_collection",
    "embeddings",
    "chunks",
    "deduped_documents",
    "raw_documents",
)
_OF_FINGERPRINT = ("chunk_size", "chunk_overlap", "chunker", "tokenizer")


def run_parameters(knowledge_base: KnowledgeBase, run_id: str, outcome: str) -> Row:
    """Return setting -> value. Unknown ones are left out.

    A dead run is recorded by a later one, perhaps with other settings: only its own artifacts tell.
    """
    settings = knowledge_base.settings
    found: dict[str, Any] = {}
    if outcome != DIED:
        found = {
            **{name: getattr(settings, name) for name in ("chunk_size", "chunk_overlap", "chunker")},
            "embedding_model": settings.embedding_model,
            "sources": ", ".join(settings.sources),
            "eval_threshold": settings.eval_threshold,
        }
    for asset in _ARTIFACTS:
        with suppress(RagAssetsError, OSError):
            artifact = knowledge_base.artifacts.latest(asset, [run_id])
            if artifact is not None and artifact.header.run_id == run_id:
                fingerprint = artifact.header.fingerprint
                found |= {name: fingerprint[name] for name in _OF_FINGERPRINT if name in fingerprint}
                found["embedding_model"] = fingerprint["embedding_model"]["model"]
                found["index_fingerprint"] = short_hash(fingerprint)
                break
    return {name: value for name, value in found.items() if value not in ("", None)}
