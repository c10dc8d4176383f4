"""Retention: removal of generations that are no longer needed."""

import logging
from collections.abc import Iterable

from rag_assets.errors import RagAssetsError
from rag_assets.vector_stores.base import VectorStore

_logger = logging.getLogger(__name__)


def sweep(store: VectorStore, keep: Iterable[str]) -> list[str]:
    """Discard every generation and leftover except production, the previous one, the held one and those in `keep`.

    Staging begins with a sweep. It holds the lease, so the leftovers belong to dead refreshes. If one of those
    refreshes is alive after all, it finds its candidate gone and ends as superseded.

    Returns:
        Names of the discarded generations.
    """
    kept = store.production_state().kept.union(keep)
    swept: list[str] = []
    for generation in store.generations():
        if generation not in kept:
            try:
                store.discard(generation)
                swept.append(generation)
            except RagAssetsError as error:
                _logger.warning(
                    "could not discard generation %s; the next refresh retries: %s", generation, error
                )
    return swept
