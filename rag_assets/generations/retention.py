"""Which generations are kept, and the removal of the others."""

import logging
from collections.abc import Iterable

from rag_assets.errors import RagAssetsError
from rag_assets.records import ProductionState
from rag_assets.vector_stores.base import VectorStore

_logger = logging.getLogger(__name__)


def sweep(store: VectorStore, keep: Iterable[str]) -> list[str]:
    """Discard every generation and leftover that neither serves, served before, is held, nor is named.

    Whoever stages sweeps first: the lease is theirs, so what lies around is of dead refreshes. Should one of
    them be alive after all, it finds its candidate gone and ends superseded.
    """
    state: ProductionState = store.production_state()
    kept = {state.production, state.previous, state.held, *keep}
    swept: list[str] = []
    for generation in store.generations():
        if generation not in kept:
            try:
                store.discard(generation)
                swept.append(generation)
            except RagAssetsError as error:
                _logger.warning(
                    "could not discard generation %s, the next refresh tries again: %s", generation, error
                )
    return swept
