"""Metadata about generations: points of a candidate, settings of an index, a rollback."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.tables import breakdown, column, shown, table
from rag_assets.generations.staging import StagedGeneration
from rag_assets.records import GenerationManifest, ProductionState
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome

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
        "num_documents": manifest.documents_count,
        "num_points": manifest.points_count,
        "num_points_added": added,
        "num_points_deleted": staged.num_points_deleted,
        "num_points_relocated": relocated,
    }


def rollback_metadata(manifest: GenerationManifest, state: ProductionState) -> dict[str, Any]:
    """Production after a rollback, with the same keys as `production_collection`."""
    return shown(
        {
            OUTCOME_KEY: Outcome.HELD.value,
            "num_documents": manifest.documents_count,
            "num_points": manifest.points_count,
            "generation": manifest.generation,
            "held_generation": state.held,
            "index": index_table(manifest.fingerprint),
            "digest": manifest.digest,
            "refresh_id": manifest.refresh_id,
        }
    )


def index_table(fingerprint: Mapping[str, Any]) -> dg.TableMetadataValue:
    """Settings behind the points of a generation. A change of any of them rebuilds the whole index."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items() if part != "")
        return str(value)

    rows = ({"setting": name, "value": text(value)} for name, value in fingerprint.items())
    return table(rows, column("setting"), column("value"))
