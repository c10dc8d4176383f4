"""Limits of a collection, as a cluster sets them for all of its users ("strict mode")."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models


_IDS = 10_000


@dataclass(frozen=True, slots=True)
class CollectionLimits:
    """The limits that requests stay within. None for no limit.

    Attributes:
        results: of one search, or of one page of a scroll (`max_query_limit`).
        points: of one request that writes (`upsert_max_batchsize`).
        searches: in one request (`search_max_batchsize`).
        counts_exactly: whether the server may be asked for an exact number (`search_allow_exact`).
    """

    results: int | None = None
    points: int | None = None
    searches: int | None = None
    counts_exactly: bool = True

    @classmethod
    def of(cls, info: "models.CollectionInfo") -> "CollectionLimits":
        strict = info.config.strict_mode_config
        if strict is None or not strict.enabled:
            return cls()
        return cls(
            strict.max_query_limit,
            strict.upsert_max_batchsize,
            strict.search_max_batchsize,
            strict.search_allow_exact is not False,
        )

    def page(self, wanted: int) -> int:
        return min(wanted, self.results or wanted)

    def batch(self, wanted: int) -> int:
        return min(wanted, self.points or wanted)

    def check_results(self, wanted: int) -> None:
        """Raises: ConfigurationError: a search for so many results is not allowed."""
        if self.results is not None and wanted > self.results:
            raise ConfigurationError(
                f"the server allows at most {self.results:,} results of one search (max_query_limit of its strict mode), "
                f"not {wanted:,}: ask for fewer, or raise the limit"
            )


def scroll(
    client: "QdrantClient",
    collection: str,
    limits: CollectionLimits,
    page: int,
    *,
    only: "models.Filter | None" = None,
    with_payload: bool = True,
    with_vectors: bool = False,
) -> Iterator[list[Any]]:
    """Yield all records of a collection, page by page."""
    offset: Any = None
    while True:
        records, offset = client.scroll(
            collection,
            scroll_filter=only,
            limit=limits.page(page),
            offset=offset,
            with_payload=with_payload,
            with_vectors=with_vectors,
        )
        if records:
            yield records
        if offset is None:
            return


def count_points(client: "QdrantClient", collection: str, limits: CollectionLimits) -> int:
    """Return the exact number of points. Where the server may not count exactly, the ids are counted page by page."""
    if limits.counts_exactly:
        return client.count(collection, exact=True).count
    return sum(len(ids) for ids in scroll(client, collection, limits, _IDS, with_payload=False))


def in_requests(queries: list[Any], limits: CollectionLimits) -> list[list[Any]]:
    """Return the searches, divided into requests."""
    most = limits.searches or len(queries)
    return [queries[first : first + most] for first in range(0, len(queries), most)]
