"""Waiting for the consensus of a cluster.

Collections, their metadata and aliases go through consensus: what was just written may not be there on the next read.
On a single node it is, and nothing here waits.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rag_assets.errors import GenerationDamaged, RefusedError, SupersededError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

T = TypeVar("T")

DEADLINE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


class Consensus:
    """How far the nodes behind a client may be apart. Asked once, with the first wait.

    Args:
        client: of a single node, of a cluster, or one that stores the data itself.
    """

    def __init__(self, client: "QdrantClient") -> None:
        self._client = client
        self._is_cluster: bool | None = None

    @property
    def is_cluster(self) -> bool:
        """Whether there may be several nodes: also if the question is not allowed."""
        if self._is_cluster is None:
            try:
                self._is_cluster = self._client.cluster_status().status == "enabled"
            except NotImplementedError:  # by a client without a server
                self._is_cluster = False
            except Exception:
                return True
        return self._is_cluster

    @property
    def deadline_seconds(self) -> float:
        """The time after which a change has to be seen, 0 on a single node."""
        return DEADLINE_SECONDS if self.is_cluster else 0.0

    def seen(self, look: Callable[[], T | None]) -> T | None:
        """Look until something is seen, and return it. None if it was not seen in time.

        Args:
            look: returns None or False as long as nothing is seen.
        """
        found = look()
        deadline, pause = time.monotonic() + (0.0 if found else self.deadline_seconds), _FIRST_PAUSE_SECONDS
        while not found and time.monotonic() < deadline:
            time.sleep(pause)
            found = look()
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return found or None

    def settled(self, conclude: Callable[[], T]) -> T:
        """Return a conclusion from what was read. A negative one counts only if it stays the same until the deadline.

        Raises:
            SupersededError, RefusedError, GenerationDamaged: by `conclude`, to the end.
        """
        refusal: Exception | None = None

        def look() -> tuple[T] | None:
            nonlocal refusal
            try:
                return (conclude(),)
            except (SupersededError, RefusedError, GenerationDamaged) as error:
                refusal = error
                return None

        found = self.seen(look)
        if found is None:
            raise refusal or AssertionError("unreachable")
        return found[0]
