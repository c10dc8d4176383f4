"""Ranking metrics over distinct documents, with binary relevance.

`ranked` is a list of distinct documents, best first; `relevant` the set of those judged relevant, not empty.
Checked against trec_eval's definitions; see Manning, Raghavan and Schütze, "Introduction to Information
Retrieval", 2008, chapter 8.
"""

import math
from collections.abc import Hashable, Sequence, Set


def recall_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Share of the relevant documents among the first k: |relevant in ranked[:k]| / |relevant|."""
    return len(relevant & set(ranked[:k])) / len(relevant)


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Set[Hashable]) -> float:
    """1 / rank of the first relevant document, 0 if there is none. Its mean over queries is MRR."""
    for rank, document in enumerate(ranked, start=1):
        if document in relevant:
            return 1 / rank
    return 0.0


def ndcg_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Normalised discounted cumulative gain: sum of 1 / log2(rank + 1) over the relevant ones, over its best value.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    gain = sum(
        1 / math.log2(rank + 1) for rank, document in enumerate(ranked[:k], start=1) if document in relevant
    )
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(relevant), k) + 1))
    return gain / best


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile: the smallest value that at least `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean, with the sample standard deviation; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))
