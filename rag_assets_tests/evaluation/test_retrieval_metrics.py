"""Comparison with values computed by hand, and with a second implementation of the formulas of trec_eval."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.evaluation.retrieval_metrics import (
    METRICS,
    capped_recall_at_k,
    ndcg_at_k,
    recall_at_k,
    reciprocal_rank,
)

RANKED = ["d1", "d2", "d3", "d4", "d5", "d6"]


@pytest.mark.parametrize(
    ("relevant", "k", "expected"),
    [
        ({"d1"}, 1, 1.0),
        ({"d2"}, 1, 0.0),
        ({"d2", "d5"}, 2, 0.5),
        ({"d2", "d5"}, 5, 1.0),
        ({"d1", "d2", "absent"}, 10, 2 / 3),
        # Not precision: three relevant documents cannot all be among the first one.
        ({"d1", "d2", "d3"}, 1, 1 / 3),
        ({"absent"}, 10, 0.0),
    ],
)
def test_recall_is_the_share_of_the_relevant_among_the_first_k(
    relevant: set[str], k: int, expected: float
) -> None:
    assert recall_at_k(RANKED, relevant, k) == expected


@pytest.mark.parametrize(
    ("relevant", "expected"), [({"d1"}, 1.0), ({"d3", "d2"}, 0.5), ({"d6"}, 1 / 6), ({"absent"}, 0.0)]
)
def test_the_reciprocal_rank_is_that_of_the_first_relevant_document(
    relevant: set[str], expected: float
) -> None:
    assert reciprocal_rank(RANKED, relevant, 10) == expected


def test_eight_expected_documents_can_reach_a_recall_of_one() -> None:
    relevant = {f"d{number}" for number in range(1, 9)}
    assert METRICS["recall_at_5"](RANKED, relevant) == 1
    assert METRICS["recall_at_5_uncapped"](RANKED, relevant) == 5 / 8
    assert capped_recall_at_k(RANKED, {"d1", "d6", "absent"}, 5) == 1 / 3


def test_the_tenth_document_has_a_rank_and_the_eleventh_none() -> None:
    ranked = [f"d{number}" for number in range(1, 12)]
    assert METRICS["mrr"](ranked, {"d10"}) == 0.1
    assert METRICS["mrr"](ranked, {"d11"}) == 0


@pytest.mark.parametrize(
    ("relevant", "k", "expected"),
    [
        ({"d1"}, 10, 1.0),
        ({"d2"}, 10, 1 / math.log2(3)),
        # (1 + 1/2) / (1 + 1/log2(3) + 1/2)
        ({"d1", "d3", "absent"}, 10, 0.7039180890341347),
        # (1/log2(3) + 1/log2(6)) / (1 + 1/log2(3))
        ({"d2", "d5"}, 10, 0.6240505200038379),
        # Cut at two, so the best value has two terms too: (1/log2(3)) / (1 + 1/log2(3))
        ({"d2", "d5", "d6"}, 2, 0.38685280723454163),
        ({"absent"}, 10, 0.0),
    ],
)
def test_ndcg_discounts_by_the_logarithm_of_the_rank(relevant: set[str], k: int, expected: float) -> None:
    assert ndcg_at_k(RANKED, relevant, k) == pytest.approx(expected, abs=1e-15)


def trec_eval(ranked: list[int], relevant: set[int], k: int) -> tuple[float, float, float]:
    """`recall_k`, `recip_rank` and `ndcg_cut_k` as in m_recall.c, m_recip_rank.c and m_ndcg_cut.c, on the first k."""
    found, recip_rank, gain = 0, 0.0, 0.0
    for i, one in enumerate(ranked):
        rel = int(one in relevant)
        if rel and not recip_rank and i < k:
            recip_rank = 1.0 / (i + 1)
        if i < k:
            found += rel
            gain += rel / math.log2(i + 2)
    ideal = sum(1 / math.log2(i + 2) for i in range(len(relevant)) if i < k)
    return found / len(relevant), recip_rank, gain / ideal


@given(
    st.lists(st.integers(0, 20), unique=True, max_size=15),
    st.sets(st.integers(0, 25), min_size=1, max_size=12),
    st.sampled_from([1, 5, 10]),
)
def test_the_metrics_equal_those_of_trec_eval(ranked: list[int], relevant: set[int], k: int) -> None:
    mine = (
        recall_at_k(ranked, relevant, k),
        reciprocal_rank(ranked, relevant, k),
        ndcg_at_k(ranked, relevant, k),
    )
    assert mine == pytest.approx(trec_eval(ranked, relevant, k))
    assert all(0 <= value <= 1 + 1e-12 for value in mine)
