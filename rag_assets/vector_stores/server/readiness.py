"""Waiting until a generation is indexed, and every copy of it on a cluster is complete."""

import logging
import time
from typing import TYPE_CHECKING

from rag_assets.errors import VectorStoreUnavailable
from rag_assets.progress import Progress
from rag_assets.text.wording import counted
from rag_assets.vector_stores.server.server_errors import server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

TIMEOUT_SECONDS = 600.0
_POLL_SECONDS = 0.5
_STATES_WITHOUT_CHANGE = ("Active", "ActiveRead", "Dead", "ManualRecovery")
_logger = logging.getLogger(__name__)


def wait_until_ready(client: "QdrantClient", collection: str, generation: str, *, is_cluster: bool) -> None:
    """Wait for the optimizer and for copies in transfer, so the evaluation sees the same index as later searches.

    Copies on a node that is away are not waited for: the others serve. A large index may take longer than the wait.

    Raises:
        VectorStoreUnavailable: the collection is gone or broken, or a copy is still incomplete after ten minutes.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    progress = Progress("vectors indexed")
    while True:
        with server_errors(f"look at generation {generation}"):
            info = client.get_collection(collection)
        if info.status.value == "red":
            raise VectorStoreUnavailable(
                f"generation {generation} has status red on the server: check the log of the server"
            )
        states = replica_states(client, collection) if is_cluster else []
        in_transfer = [state for state in states if state not in _STATES_WITHOUT_CHANGE]
        if info.status.value != "yellow" and not in_transfer:
            if "Dead" in states:
                _logger.warning(
                    "generation %s: %s on a node that is away, the others serve",
                    generation,
                    counted(states.count("Dead"), "copy is", "copies are"),
                )
            return
        if time.monotonic() > deadline:
            if in_transfer:
                raise VectorStoreUnavailable(
                    f"generation {generation} has {counted(len(in_transfer), 'copy', 'copies')} in transfer after "
                    f"{TIMEOUT_SECONDS:.0f} s: refresh again, or check the server"
                )
            _logger.warning("generation %s is still being indexed after %.0f s", generation, TIMEOUT_SECONDS)
            return
        progress.advance((info.indexed_vectors_count or 0) - progress.done)
        time.sleep(_POLL_SECONDS)


def replica_states(client: "QdrantClient", collection: str) -> list[str]:
    """Return the state of each copy of each part, `Active` for those that serve. Empty if it may not be asked."""
    try:
        info = client.collection_cluster_info(collection)
    except Exception:  # for example not allowed with this key
        return []
    shards = (*info.local_shards, *info.remote_shards)
    return [getattr(shard.state, "value", str(shard.state)) for shard in shards]
