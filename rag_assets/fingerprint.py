"""The index fingerprint: all settings that affect the points of a document.

Two generations with the same fingerprint can share points. After a change of the fingerprint the candidate is built in
full, while the old generation serves. Sources, parsers, benchmark and thresholds are not part of the fingerprint.
"""

import hashlib
import json
import uuid
from dataclasses import asdict
from typing import Any

from rag_assets.records import PAYLOAD_SCHEMA_VERSION, EmbeddingModel
from rag_assets.text.instruction_patterns import PATTERNS_VERSION
from rag_assets.text.normalization import TEXT_NORMALIZATION_VERSION

_POINT_NAMESPACE = uuid.UUID("5a2f6bd5-4d63-5d0c-9c52-0f4f0a7b8f11")


def canonical_json(value: Any) -> bytes:
    """Return one byte string for one value: sorted keys, no whitespace, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def short_hash(value: Any) -> str:
    """Return the first 16 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:16]


def name_hash(name: str) -> str:
    """Return the SHA-256 of a name of a document, hex. Lists of purged documents hold it in place of the name."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def index_fingerprint(
    model: EmbeddingModel,
    *,
    chunker: str,
    chunker_version: str,
    chunk_size: int,
    chunk_overlap: int,
    tokenizer: str,
    sparse: dict[str, Any],
) -> dict[str, Any]:
    """Return the fingerprint as a JSON-compatible mapping."""
    return {
        "embedding_model": asdict(model),
        "distance": "cosine",
        "chunker": chunker,
        "chunker_version": chunker_version,
        "chunk_size": chunk_size,
        "chunk_overlap": chunk_overlap,
        "tokenizer": tokenizer,
        "sparse": sparse,
        "text_normalization": TEXT_NORMALIZATION_VERSION,
        "payload_schema": PAYLOAD_SCHEMA_VERSION,
        "instruction_patterns": PATTERNS_VERSION,
    }


def fingerprint_difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the names of the different settings, for a message."""
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def point_id(fingerprint_hash: str, content_hash: str, chunk_index: int) -> str:
    """Return the UUIDv5 of one chunk of one content under one fingerprint."""
    return str(uuid.uuid5(_POINT_NAMESPACE, f"{fingerprint_hash}/{content_hash}/{chunk_index}"))
