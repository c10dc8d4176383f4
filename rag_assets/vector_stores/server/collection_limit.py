"""The most collections that a server allows (`max_collections`), known before it is reached."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_assets.errors import ConfigurationError
from rag_assets.text.wording import counted

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass(frozen=True, slots=True)
class CollectionLimit:
    """The number of collections on a server, and the most that it allows."""

    used: int
    most: int

    @classmethod
    def of(cls, client: "QdrantClient") -> "CollectionLimit | None":
        """Return the limit. None if there is none, or if it may not be asked with this key."""
        try:
            result = client.http.service_api.telemetry(details_level=0).result
            found = result.collections if result is not None else None
        except Exception:
            return None
        if found is None or found.max_collections is None:
            return None
        return cls(found.number_of_collections, found.max_collections)

    @property
    def is_reached(self) -> bool:
        return self.used >= self.most

    def __str__(self) -> str:
        return f"{self.used:,} of at most {counted(self.most, 'collection')} (max_collections)"


def check_room(client: "QdrantClient") -> None:
    """Check that one more collection is allowed.

    Raises:
        ConfigurationError: it is not.
    """
    limit = CollectionLimit.of(client)
    if limit is not None and limit.is_reached:
        raise ConfigurationError(
            f"the server at QDRANT_URL holds {limit}, so there is no room for a candidate: delete collections, or raise "
            "the limit. A knowledge base needs four: production, the previous generation, a candidate and one for its id"
        )
