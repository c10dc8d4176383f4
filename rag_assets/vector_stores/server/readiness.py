"""Waiting until a generation is indexed, and every copy of it on a cluster is complete."""

import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_assets.errors import VectorStoreUnavailable
from rag_assets.progress import Progress
from rag_assets.text.wording import counted
from rag_assets.vector_stores.server.server_errors import server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

TIMEOUT_SECONDS = 600.0
AWAY_SECONDS = 15.0
"""After this time a copy without a sign of life counts as on a node that is away. A restarted node needs less."""
_POLL_SECONDS = 0.5
_SERVING = ("Active", "ActiveRead")
_AWAY = ("Dead", "Initializing")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of all parts of a collection.

    Attributes:
        states: number of copies in each state, such as `Active`.
        num_unserved: parts without a copy that serves.
    """

    states: Counter[str]
    num_unserved: int = 0

    @classmethod
    def of(cls, client: "QdrantClient", collection: str) -> "Copies":
        """Return the copies. None of them if they may not be asked for, for example with this key."""
        try:
            info = client.collection_cluster_info(collection)
        except Exception:
            return cls(Counter())
        shards = [(one.shard_id, str(one.state)) for one in (*info.local_shards, *info.remote_shards)]
        served = {part for part, state in shards if state in _SERVING}
        return cls(Counter(state for _, state in shards), len({part for part, _ in shards} - served))

    @property
    def num_away(self) -> int:
        return sum(self.states[state] for state in _AWAY)

    @property
    def num_in_transfer(self) -> int:
        return self.states.total() - sum(
            self.states[state] for state in (*_SERVING, *_AWAY, "ManualRecovery")
        )


def wait_until_ready(client: "QdrantClient", collection: str, generation: str, *, is_cluster: bool) -> None:
    """Wait for the optimizer and for every copy, so the evaluation sees the same index as later searches.

    Copies on a node that is away are waited for briefly: the others serve. A large index may take longer than the wait.

    Raises:
        VectorStoreUnavailable: the collection is gone or broken, a part of it has no copy that serves, or a copy is still
            incomplete after ten minutes.
    """
    begun = time.monotonic()
    progress = Progress("vectors indexed")
    while True:
        with server_errors(client, f"look at generation {generation}"):
            info = client.get_collection(collection)
        if info.status.value == "red":
            raise VectorStoreUnavailable(
                f"generation {generation} has status red on the server: check the log of the server"
            )
        copies = Copies.of(client, collection) if is_cluster else Copies(Counter())
        waited = time.monotonic() - begun
        in_transfer = copies.num_in_transfer
        unseen = copies.num_away if waited < AWAY_SECONDS else copies.num_unserved
        if info.status.value != "yellow" and not in_transfer and not unseen:
            if copies.num_away:
                are = counted(copies.num_away, "copy is", "copies are")
                _logger.warning("generation %s: %s on a node that is away, the others serve", generation, are)
            return
        if waited > TIMEOUT_SECONDS or (waited >= AWAY_SECONDS and copies.num_unserved):
            if copies.num_unserved:
                raise VectorStoreUnavailable(
                    f"generation {generation} has {counted(copies.num_unserved, 'part')} on a node that is away, and no "
                    "other copy of it: start the node again and refresh. With RAG_QDRANT_REPLICAS=2 another copy serves"
                )
            if in_transfer:
                raise VectorStoreUnavailable(
                    f"generation {generation} has {counted(in_transfer, 'copy', 'copies')} in transfer after "
                    f"{waited:.0f} s: refresh again, or check the server"
                )
            _logger.warning("generation %s is still being indexed after %.0f s", generation, waited)
            return
        progress.advance((info.indexed_vectors_count or 0) - progress.done)
        time.sleep(_POLL_SECONDS)
