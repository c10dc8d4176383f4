"""Metadata about generations: the points of a candidate, the settings of an index, a rollback."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.tables import breakdown, column, shown, table
from rag_assets.generations.staging import StagedGeneration
from rag_assets.records import GenerationManifest, ProductionState


def staging_metadata(staged: StagedGeneration) -> dict[str, Any]:
    """Where the points of a candidate come from, and how many of production it has no more."""
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
    """What serves since a person went back, under the names that production_collection has for it."""
    return shown(
        {
            "promoted": False,
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
    """With what the points were made; a change of any of these rebuilds all."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items() if part != "")
        return str(value)

    rows = ({"setting": name, "value": text(value)} for name, value in fingerprint.items())
    return table(rows, column("setting"), column("value"))
