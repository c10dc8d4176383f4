"""How the collections of a knowledge base are laid out on a cluster, and indexed."""

from dataclasses import dataclass, field

from rag_assets.document_metadata.policy import MetadataIndexes, MetadataKind


@dataclass(frozen=True, slots=True)
class CollectionLayout:
    """The places of a generation.

    Attributes:
        shards: parts of a collection. Keyword scores count documents in each part alone, so more than one ranks
            differently.
        replicas: copies of each part, None for the default of the cluster.
        write_consistency: copies that have to take a write, None for the default of the cluster, usually 1. A copy that
            misses a write is out of use until it is complete again.
        snapshots: whether a snapshot of a generation is stored on the server before its promotion.
        metadata_indexes: metadata keys with an index, besides the fixed fields.
    """

    shards: int = 1
    replicas: int | None = None
    write_consistency: int | None = None
    snapshots: bool = False
    metadata_indexes: MetadataIndexes = field(default_factory=dict[str, MetadataKind])
