"""The JSON form of a `GenerationManifest`, the same in every store."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rag_assets.changes.deletion_history import history_from_text
from rag_assets.document_metadata.kinds import kinds_from_text
from rag_assets.embedders.probe import probe_from_text
from rag_assets.errors import StateFormatError
from rag_assets.records import GenerationManifest

MANIFEST_FORMAT_VERSION = 1

_TYPES: dict[str, tuple[type, ...]] = {
    "generation": (str,),
    "refresh_id": (str,),
    "base": (str, type(None)),
    "fingerprint": (dict,),
    "digest": (str,),
    "points_count": (int,),
    "documents_count": (int,),
    "documents_hash": (str,),
    "sealed_at": (str,),
    "rejected": (str,),
    "run_id": (str,),
    "damaged": (str,),
    "format_version": (int,),
    "probe": (str,),
    "deletions": (str,),
    "metadata_kinds": (str,),
    "chunk_sizes": (str,),
}
_ADDED_LATER = dict.fromkeys(("run_id", "probe", "damaged", "deletions", "metadata_kinds", "chunk_sizes"), "")
"""Fields missing in manifests of earlier versions."""


def manifest_to_json(manifest: GenerationManifest) -> dict[str, Any]:
    """Return the manifest as a JSON object."""
    return dataclasses.asdict(manifest)


def manifest_from_json(stored: object, where: str) -> GenerationManifest:
    """Return the manifest.

    Args:
        stored: as `manifest_to_json` made it.
        where: file or collection, for the error message.

    Raises:
        StateFormatError: it was written by another version, or it is damaged.
    """
    if not isinstance(stored, Mapping):
        raise StateFormatError(f"{where} contains no manifest: materialize all assets to rebuild it")
    version = stored.get("format_version")
    if version != MANIFEST_FORMAT_VERSION:
        raise StateFormatError(
            f"{where} has format version {version!r}, but this version of rag-assets reads "
            f"{MANIFEST_FORMAT_VERSION}: use the version that wrote it, or materialize all assets to rebuild it"
        )
    fields: dict[str, Any] = _ADDED_LATER | {str(name): value for name, value in stored.items()}
    if fields.keys() != _TYPES.keys() or any(
        not isinstance(fields[name], kinds) for name, kinds in _TYPES.items()
    ):
        raise StateFormatError(f"{where} is damaged: materialize all assets to rebuild it")
    manifest = GenerationManifest(**fields)
    try:
        if manifest.probe:
            probe_from_text(manifest.probe, manifest.fingerprint["embedding_model"]["dimensions"])
    except (KeyError, TypeError, ValueError):
        raise StateFormatError(
            f"{where} holds a damaged probe of its model: materialize all assets to rebuild it"
        ) from None
    try:
        history_from_text(manifest.deletions)
    except ValueError:
        raise StateFormatError(
            f"{where} holds a damaged history of deletions: materialize all assets to rebuild it"
        ) from None
    try:
        kinds_from_text(manifest.metadata_kinds)
    except ValueError:
        raise StateFormatError(
            f"{where} holds a damaged list of metadata: materialize all assets to rebuild it"
        ) from None
    return manifest
