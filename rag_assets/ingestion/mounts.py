"""Volumes that were mounted at the last reading and are not mounted now: their documents are not deleted."""

from collections.abc import Mapping

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.disk.mount_points import MountPoints
from rag_assets.errors import StateFormatError
from rag_assets.records import Outage


def missing_mounts(source: str, known: Mapping[str, str]) -> list[Outage]:
    """Return an outage for each folder that was a mount point and is none now."""
    points = MountPoints()
    return [
        Outage(
            source,
            mount,
            "it was a mount point at the last reading, and nothing is mounted there now",
            below=prefix,
        )
        for mount, prefix in sorted(known.items())
        if not points.contain(mount)
    ]


def last_mounts(artifacts: ArtifactStore) -> dict[str, dict[str, str]]:
    """Return the mount points of the last reading, by source."""
    try:
        read = artifacts.latest("raw_documents")
    except StateFormatError:
        return {}
    return dict(read.details.get("mounts", {})) if read else {}
