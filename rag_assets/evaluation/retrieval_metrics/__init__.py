"""The retrieval metrics by name. A new one is a file here and a line in `METRICS`.

The mean of each over all questions is shown for candidate and production, in the UI and in the artefact of
`eval_report`. The gate asks for `recall_at_5`.
"""

from functools import partial

from rag_assets.evaluation.retrieval_metrics.base import Metric
from rag_assets.evaluation.retrieval_metrics.ndcg import ndcg_at_k
from rag_assets.evaluation.retrieval_metrics.recall import recall_at_k
from rag_assets.evaluation.retrieval_metrics.reciprocal_rank import reciprocal_rank

METRICS: dict[str, Metric] = {
    "recall_at_1": partial(recall_at_k, k=1),
    "recall_at_5": partial(recall_at_k, k=5),
    "recall_at_10": partial(recall_at_k, k=10),
    "mrr": reciprocal_rank,
    "ndcg_at_10": partial(ndcg_at_k, k=10),
}
