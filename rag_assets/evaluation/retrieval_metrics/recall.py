"""Recall: how many of the relevant documents were found."""

from collections.abc import Hashable, Sequence, Set


def recall_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Share of the relevant documents among the first k: |relevant in ranked[:k]| / |relevant|."""
    return len(relevant & set(ranked[:k])) / len(relevant)
