"""The comparison of a generation on a server with its check values."""

import random
from typing import TYPE_CHECKING

from rag_assets.backports import batched
from rag_assets.errors import GenerationDamaged
from rag_assets.records import GenerationManifest
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import Depth
from rag_assets.vector_stores.reading import point_from
from rag_assets.vector_stores.server.check_values import GROUPS, CheckValues, group_of
from rag_assets.vector_stores.server.limits import CollectionLimits, scroll
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.server_errors import server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

COMPARED_IN_FULL = 20_000
SAMPLE = 5_000
QUICK_SAMPLE = 500
_BATCH = 256
_IDS = 10_000


def compare(
    client: "QdrantClient",
    collection: str,
    reader: ServerGenerationReader,
    manifest: GenerationManifest,
    sealed: CheckValues,
    added: CheckValues | None,
    depth: Depth,
) -> None:
    """Compare points with the check values of sealing. See `VectorStore.verify`.

    Args:
        sealed: of all points.
        added: of the points added by the refresh of this generation, if there are too many points to compare all.

    Raises:
        GenerationDamaged: they differ.
    """
    if sum(sealed.counts) != manifest.points_count:
        raise _damaged(manifest, "its check values are of another number of points")
    wanted = {"quick": QUICK_SAMPLE, "usual": SAMPLE, "every point": manifest.points_count}[depth]
    if manifest.points_count <= wanted or (depth == "usual" and manifest.points_count <= COMPARED_IN_FULL):
        found = CheckValues(reader.dimensions)
        for batch in reader.scroll(_BATCH, with_vectors=True):
            found.add(batch)
        groups = list(range(GROUPS))
    else:
        groups = _random_groups(sealed, wanted)
        found = _values_of(client, collection, reader, groups)
        if depth == "usual" and added is not None:
            now = values_of_refresh(client, collection, reader.limits, manifest.refresh_id, reader.dimensions)
            if now.differing_groups(added):
                raise _damaged(manifest, "points added by its refresh differ from what was sealed")
    differing = found.differing_groups(sealed, groups)
    if differing:
        compared = sum(sealed.counts[group] for group in groups)
        affected = sum(sealed.counts[group] for group in differing)
        raise _damaged(
            manifest,
            f"of {counted(compared, 'compared point')}, some of {affected:,} differ from what was sealed: other points, "
            "payloads or vectors",
        )


def values_of_refresh(
    client: "QdrantClient", collection: str, limits: CollectionLimits, refresh_id: str, dimensions: int
) -> CheckValues:
    """Return the check values of the points added by one refresh."""
    from qdrant_client import models

    condition = models.FieldCondition(key="refresh_id", match=models.MatchValue(value=refresh_id))
    found = CheckValues(dimensions)
    with server_errors(client, f"read collection {collection}", quote=False):
        only = models.Filter(must=[condition])
        for records in scroll(client, collection, limits, _BATCH, only=only, with_vectors=True):
            found.add([point_from(record, with_vectors=True) for record in records])
    return found


def _random_groups(sealed: CheckValues, wanted: int) -> list[int]:
    """Draw groups until they have this many points. Groups are random sets of points."""
    groups: list[int] = []
    order = random.sample(range(GROUPS), GROUPS)
    while order and sum(sealed.counts[group] for group in groups) < wanted:
        groups.append(order.pop())
    return groups


def _values_of(
    client: "QdrantClient", collection: str, reader: ServerGenerationReader, groups: list[int]
) -> CheckValues:
    """Read all ids, and the points of these groups."""
    ids: list[str] = []
    with server_errors(client, f"read generation {reader.generation}"):
        for records in scroll(client, collection, reader.limits, _IDS, with_payload=False):
            ids += [point_id for record in records if group_of(point_id := str(record.id)) in groups]
    found = CheckValues(reader.dimensions)
    for batch in batched(ids, _BATCH):
        found.add(reader.retrieve(batch, with_vectors=True))
    return found


def _damaged(manifest: GenerationManifest, problem: str) -> GenerationDamaged:
    return GenerationDamaged(f"generation {manifest.generation} is damaged: {problem}")
