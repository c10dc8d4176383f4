"""The retrieval metrics by name. A new metric is a function here and a line in `METRICS`.

Each metric is a number, 0 to 1, for the answer to one question: binary relevance over distinct documents. See Manning,
Raghavan and Schütze, "Introduction to Information Retrieval", 2008, chapter 8. The tests compare the metrics with the
definitions of trec_eval.

The UI and the artifact of `eval_report` show the mean of each metric over all questions, for candidate and production.
The gate uses `recall_at_5` and `mrr`. The first is capped: five places cannot hold eight expected documents, so it is
compared with the best possible answer. `recall_at_5_uncapped` is the usual definition, and differs only for questions with more
than five expected documents.
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
    """Return the share of the relevant documents found: |relevant in ranked[:k]| / |relevant|.

    k: only the first k documents count.

    Source: Manning, Raghavan and Schütze, section 8.4.
    """
    return len(relevant & set(ranked[:k])) / len(relevant)


def capped_recall_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Return the share of the best possible answer found: |relevant in ranked[:k]| / min(k, |relevant|).

    k: only the first k documents count.

    Source: Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models", 2021,
    section 3.3 (R_cap@k).
    """
    return len(relevant & set(ranked[:k])) / min(k, len(relevant))


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Return 1 / rank of the first relevant document, or 0 if there is none. Its mean over queries is MRR@k.

    k: only the first k documents count.

    Source: Voorhees, "The TREC-8 question answering track report", 1999.
    """
    for rank, document in enumerate(ranked[:k], start=1):
        if document in relevant:
            return 1 / rank
    return 0.0


def ndcg_at_k(ranked: Sequence[Hashable], relevant: Set[Hashable], k: int) -> float:
    """Return the normalized discounted cumulative gain: high if the relevant documents are near the top.

    The sum of 1 / log2(rank + 1) over the relevant documents found, divided by its best possible value.

    k: only the first k documents count.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    gain = sum(
        1 / math.log2(rank + 1) for rank, document in enumerate(ranked[:k], start=1) if document in relevant
    )
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(relevant), k) + 1))
    return gain / best


METRICS: dict[str, Metric] = {
    "recall_at_1": partial(recall_at_k, k=1),
    "recall_at_5": partial(capped_recall_at_k, k=5),
    "recall_at_5_uncapped": partial(recall_at_k, k=5),
    "recall_at_10": partial(recall_at_k, k=10),
    "mrr": partial(reciprocal_rank, k=10),
    "ndcg_at_10": partial(ndcg_at_k, k=10),
}
