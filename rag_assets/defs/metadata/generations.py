"""Metadata about generations: points of a candidate, settings of an index, a rollback."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.tables import breakdown, column, shown, table
from rag_assets.generations.chunk_sizes import ChunkSizes
from rag_assets.generations.staging import StagedGeneration
from rag_assets.records import GenerationManifest
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.vector_stores.production_state import Hold, ProductionState

_DIGEST_DIGITS = 16
PRODUCTION_DAMAGE_KEY = "production_damage"


def staging_metadata(staged: StagedGeneration) -> dict[str, Any]:
    """Origin of a candidate's points, and the number of points deleted from production."""
    manifest, added, relocated = staged.manifest, staged.num_points_added, staged.num_points_relocated
    points = {
        "as in production": manifest.points_count - added - relocated,
        "added": added,
        "relocated": relocated,
        "deleted": staged.num_points_deleted,
    }
    return {
        "written": staged.written,
        "points": breakdown("points", points),
        **chunk_sizes_metadata(manifest),
        "num_documents": manifest.documents_count,
        "num_points": manifest.points_count,
        "num_points_added": added,
        "num_points_deleted": staged.num_points_deleted,
        "num_points_relocated": relocated,
        "kept_tokens": staged.num_tokens_kept,
        "upsert_seconds": staged.upsert_seconds if added else None,
    }


def production_metadata(manifest: GenerationManifest | None) -> dict[str, Any]:
    """The generation in production. Empty without a readable one."""
    if manifest is None:
        return {}
    return {
        "num_documents": manifest.documents_count,
        "num_points": manifest.points_count,
        "generation": manifest.generation,
        "index": index_table(manifest.fingerprint),
        **chunk_sizes_metadata(manifest),
        "digest": short_digest(manifest.digest),
        "refresh_id": manifest.refresh_id,
    }


def held_metadata(manifest: GenerationManifest | None, state: ProductionState) -> dict[str, Any]:
    """Production while a person holds it, with the same keys as without a hold, and who holds it, since when and why.

    Args:
        manifest: of production, None if it cannot be read.
    """
    hold = state.hold or Hold("")
    return shown(
        {
            OUTCOME_KEY: Outcome.HELD.value,
            "held_since": hold.since or "unknown",
            "held_by": hold.by or "unknown",
            "hold_reason": hold.reason or None,
            "held_generation": hold.generation,
            **production_metadata(manifest),
        }
    )


def resumed_metadata(manifest: GenerationManifest | None) -> dict[str, Any]:
    """Production after a hold."""
    return {OUTCOME_KEY: Outcome.UNCHANGED.value, **production_metadata(manifest)}


def chunk_sizes_metadata(manifest: GenerationManifest) -> dict[str, Any]:
    """Distribution of the sizes of all chunks, in tokens. Empty if an earlier version made the generation."""
    sizes = ChunkSizes.from_text(manifest.chunk_sizes, int(manifest.fingerprint["chunk_size"]))
    return {} if sizes is None else {"chunk_sizes": breakdown("tokens", sizes.by_class())}


def short_digest(digest: str) -> str:
    """The UI breaks no digest, and a whole one makes all values too wide for the page. `DataVersion` has it whole."""
    return digest[:_DIGEST_DIGITS]


def index_table(fingerprint: Mapping[str, Any]) -> dg.TableMetadataValue:
    """Settings behind the points of a generation. A change of any of them rebuilds the whole index."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items() if part != "")
        return str(value)

    rows = ({"setting": name, "value": text(value)} for name, value in fingerprint.items())
    return table(rows, column("setting"), column("value"))
