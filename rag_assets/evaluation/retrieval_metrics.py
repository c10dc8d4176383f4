"""The retrieval metrics by name. A new one is a function here and a line in `METRICS`.

Each gives a number, 0 to 1, for the answer to one question: binary relevance over distinct documents. See Manning,
Raghavan and Schütze, "Introduction to Information Retrieval", 2008, chapter 8. Checked against trec_eval's definitions.

The mean of each over all questions is shown for candidate and production, in the UI and in the artifact of
`eval_report`. The gate asks for `recall_at_5`.
"""

import math
from collections.abc import Hashable, Sequence, Set
from functools import partial
from typing import Protocol


class Metric(Protocol):
    """Judges one answer. The mean over all questions is the score of a generation."""

    def __call__(self, ranked: Sequence[Hashable], relevant: Set[Hashable], /) -> float:
        """Return the value, 0 to 1. More is better.

        Args:
            ranked: distinct documents, best first.
            relevant: documents judged relevant, not empty.
        """
        ...


def recall_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Share of the relevant documents among the first k: |relevant in ranked[:k]| / |relevant|.

    Source: Manning, Raghavan and Schütze, section 8.4.
    """
    return len(relevant & set(ranked[:k])) / len(relevant)


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Set[Hashable]) -> float:
    """1 / rank of the first relevant document, 0 if there is none. Its mean over queries is MRR.

    There is no k: the whole list counts.

    Source: Voorhees, "The TREC-8 question answering track report", 1999.
    """
    for rank, document in enumerate(ranked, start=1):
        if document in relevant:
            return 1 / rank
    return 0.0


def ndcg_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Normalized discounted cumulative gain: how near to the top the relevant documents are.

    The sum of 1 / log2(rank + 1) over the relevant documents among the first k, divided by its best possible value.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    gain = sum(
        1 / math.log2(rank + 1) for rank, document in enumerate(ranked[:k], start=1) if document in relevant
    )
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(relevant), k) + 1))
    return gain / best


METRICS: dict[str, Metric] = {
    "recall_at_1": partial(recall_at_k, k=1),
    "recall_at_5": partial(recall_at_k, k=5),
    "recall_at_10": partial(recall_at_k, k=10),
    "mrr": reciprocal_rank,
    "ndcg_at_10": partial(ndcg_at_k, k=10),
}
