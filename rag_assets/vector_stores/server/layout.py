"""How the collections of a knowledge base are laid out on a cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CollectionLayout:
    """The places of a generation.

    Attributes:
        shards: parts of a collection. Keyword scores count documents in each part alone, so more than one ranks
            differently.
        replicas: copies of each part, None for the default of the cluster.
        write_consistency: copies that confirm a write, None for all.
        snapshots: whether a snapshot of a generation is stored on the server before its promotion.
    """

    shards: int = 1
    replicas: int | None = None
    write_consistency: int | None = None
    snapshots: bool = False
