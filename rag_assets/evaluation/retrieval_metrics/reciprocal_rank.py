"""Reciprocal rank: how soon the first relevant document comes."""

from collections.abc import Hashable, Sequence, Set


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Set[Hashable]) -> float:
    """1 / rank of the first relevant document, 0 if there is none. Its mean over queries is MRR."""
    for rank, document in enumerate(ranked, start=1):
        if document in relevant:
            return 1 / rank
    return 0.0
