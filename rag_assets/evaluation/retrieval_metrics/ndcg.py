"""Normalised discounted cumulative gain: how near to the top all relevant documents are."""

import math
from collections.abc import Hashable, Sequence, Set


def ndcg_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Normalised discounted cumulative gain: sum of 1 / log2(rank + 1) over the relevant ones, over its best value.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    gain = sum(
        1 / math.log2(rank + 1) for rank, document in enumerate(ranked[:k], start=1) if document in relevant
    )
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(relevant), k) + 1))
    return gain / best
