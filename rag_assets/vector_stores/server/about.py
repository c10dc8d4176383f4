"""What a person has to know of a Qdrant server: version, nodes, copies, limits, and what will not do."""

from typing import TYPE_CHECKING

from rag_assets.text.wording import counted
from rag_assets.vector_stores.server.client import PREFIX_SINCE, version_of
from rag_assets.vector_stores.server.collection_limit import CollectionLimit
from rag_assets.vector_stores.server.limits import CollectionLimits
from rag_assets.vector_stores.server.readiness import Copies
from rag_assets.vector_stores.server.server_errors import server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models


def describe_server(client: "QdrantClient", collection: str | None) -> list[str]:
    """Return clauses for a person.

    Args:
        collection: a generation for copies and limits, if there is one.

    Raises:
        ConfigurationError, VectorStoreUnavailable: the server does not answer.
    """
    version = version_of(client)
    lines = [f"Qdrant {version[0]}" if version else "a Qdrant server that does not tell its version"]
    if version and version[1] < PREFIX_SINCE:
        lines.append(f"no filters by prefix, they need Qdrant {'.'.join(map(str, PREFIX_SINCE))}")
    lines.append(_nodes(client))
    limit = CollectionLimit.of(client)
    if limit is not None:
        lines.append(f"{limit}{', no room for a candidate' if limit.is_reached else ''}")
    if collection is not None:
        with server_errors(client, f"look at collection {collection}"):
            info = client.get_collection(collection)
        lines += [*_copies(client, collection, info.config.params), *_limits(CollectionLimits.of(info))]
    return lines


def _nodes(client: "QdrantClient") -> str:
    try:
        status = client.cluster_status()
    except NotImplementedError:  # by a client without a server
        return "a single node"
    except Exception:
        return "the number of its nodes may not be asked with this key"
    peers = getattr(status, "peers", None)
    return counted(len(peers), "node") if peers else "a single node"


def _copies(client: "QdrantClient", collection: str, params: "models.CollectionParams") -> list[str]:
    copies, parts = params.replication_factor or 1, params.shard_number or 1
    lines = [f"{counted(copies, 'copy', 'copies')} of {counted(parts, 'part')}"]
    if parts > 1:
        lines.append("keyword scores count documents in each part alone")
    found = Copies.of(client, collection)
    if found.num_away:
        lines.append(f"{counted(found.num_away, 'copy', 'copies')} on a node that is away")
    if found.num_in_transfer:
        lines.append(f"{counted(found.num_in_transfer, 'copy', 'copies')} in transfer")
    return lines


def _limits(limits: CollectionLimits) -> list[str]:
    lines: list[str] = []
    if limits.results is not None:
        lines.append(f"at most {limits.results:,} results of a search (max_query_limit)")
    if limits.points is not None:
        lines.append(f"at most {limits.points:,} points in a request (upsert_max_batchsize)")
    if limits.searches is not None:
        lines.append(f"at most {counted(limits.searches, 'search', 'searches')} in a request")
    if not limits.counts_exactly:
        lines.append("points are counted page by page (search_allow_exact is off)")
    return lines
