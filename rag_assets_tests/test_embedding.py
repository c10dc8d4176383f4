from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag_assets import embedding
from rag_assets.embedders.cache_key import cache_key
from rag_assets.embedding import EmbeddingUsage, embed_texts
from rag_assets.errors import EmbedderUnavailable
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import Vector
from rag_assets_tests.documents import MODEL, FakeEmbedder, hashed, vector_of


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    yield found
    found.close()


def embed(
    texts: Iterable[str], embedder: FakeEmbedder, ledger: Ledger
) -> tuple[dict[str, Vector], EmbeddingUsage]:
    usage = EmbeddingUsage()
    pairs = ((hashed(text), text) for text in texts)
    return dict(embed_texts(pairs, embedder, ledger, usage)), usage


def test_every_distinct_text_is_embedded_once_in_order_of_first_appearance(ledger: Ledger) -> None:
    embedder = FakeEmbedder(batch_size=2)
    vectors, usage = embed(["b", "a", "b", "c", "a"], embedder, ledger)
    assert list(vectors) == [hashed(text) for text in "bac"]
    assert embedder.batches == [["b", "a"], ["c"]]
    assert all(np.array_equal(vectors[hashed(text)], vector_of(text)) for text in "abc")
    assert (usage.num_texts, usage.num_cached, usage.num_embedded) == (3, 0, 3)


def test_an_already_embedded_text_costs_nothing(ledger: Ledger) -> None:
    embed(["a one", "b two"], FakeEmbedder(), ledger)
    embedder = FakeEmbedder()
    vectors, usage = embed(["a one", "new text here", "b two"], embedder, ledger)
    assert embedder.batches == [["new text here"]]
    assert (usage.num_texts, usage.num_cached, usage.num_embedded) == (3, 2, 1)
    assert usage.tokens == 3
    assert usage.cost_usd == pytest.approx(3 * 2.0 / 1_000_000)
    assert np.array_equal(vectors[hashed("a one")], vector_of("a one"))


def test_no_text_costs_nothing(ledger: Ledger) -> None:
    vectors, usage = embed([], FakeEmbedder(), ledger)
    assert (vectors, usage) == ({}, EmbeddingUsage())


def test_a_paid_batch_survives_the_failure_of_the_next(ledger: Ledger) -> None:
    failing = FakeEmbedder(batch_size=2, fail_after_batches=2, error=EmbedderUnavailable("down"))
    texts = ["a", "b", "c", "d", "e", "f"]
    with pytest.raises(EmbedderUnavailable):
        embed(texts, failing, ledger)
    embedder = FakeEmbedder(batch_size=2)
    _, usage = embed(texts, embedder, ledger)
    assert embedder.batches == [["e", "f"]]
    assert usage.num_cached == 4


def test_every_answer_is_counted_as_spent_before_the_next_request(ledger: Ledger) -> None:
    failing = FakeEmbedder(batch_size=2, fail_after_batches=2, error=EmbedderUnavailable("down"))
    spent: list[tuple[int, float | None]] = []
    pairs = [(hashed(text), text) for text in ("a one", "b", "c", "d", "e")]
    with pytest.raises(EmbedderUnavailable):
        list(
            embed_texts(
                pairs,
                failing,
                ledger,
                EmbeddingUsage(),
                spent=lambda tokens, usd: spent.append((tokens, usd)),
            )
        )
    assert spent == [(3, 3 * 2.0 / 1_000_000), (2, 2 * 2.0 / 1_000_000)]


def test_an_unknown_price_gives_an_unknown_cost(ledger: Ledger) -> None:
    _, usage = embed(["a"], FakeEmbedder(usd_per_million_tokens=None), ledger)
    assert usage.cost_usd is None
    assert usage.tokens == 1


def test_a_local_model_is_free(ledger: Ledger) -> None:
    assert embed(["a"], FakeEmbedder(usd_per_million_tokens=0), ledger)[1].cost_usd == 0


def test_vectors_of_two_models_are_separate_in_the_cache(ledger: Ledger) -> None:
    embed(["a"], FakeEmbedder(), ledger)
    other = FakeEmbedder(replace(MODEL, revision="2"))
    assert embed(["a"], other, ledger)[1].num_embedded == 1


def test_order_and_count_hold_over_many_windows(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "WINDOW", 10)
    texts = [str(number) for number in range(35)]
    embed(texts[5:15], FakeEmbedder(), ledger)
    vectors, usage = embed(texts, FakeEmbedder(batch_size=4), ledger)
    assert list(vectors) == [hashed(text) for text in texts]
    assert (usage.num_texts, usage.num_cached, usage.num_embedded) == (35, 10, 25)


@pytest.mark.parametrize(
    "damaged",
    [
        np.full(8, np.nan, np.float32),
        np.zeros(8, np.float32),
        np.array([np.inf, *[0] * 7], np.float32),
        vector_of("a", 4),
    ],
    ids=["NaN", "zero", "infinite", "dimension"],
)
def test_a_corrupt_vector_in_the_cache_is_replaced(ledger: Ledger, damaged: Vector) -> None:
    ledger.put_vectors({cache_key(MODEL, "a"): damaged})
    for expected in (1, 0):
        vectors, usage = embed(["a"], FakeEmbedder(), ledger)
        assert np.array_equal(vectors[hashed("a")], vector_of("a"))
        assert usage.num_embedded == expected


def test_progress_is_logged_after_every_batch_with_its_cost(
    ledger: Ledger, progress_lines: list[str]
) -> None:
    embed(["a"], FakeEmbedder(), ledger)
    progress_lines.clear()
    pairs = [(hashed(text), text) for text in "abcde"]
    list(embed_texts(pairs, FakeEmbedder(batch_size=2), ledger, EmbeddingUsage(), len(pairs)))
    assert [line.split(",")[0] for line in progress_lines] == [f"{done} of 5 texts" for done in (1, 3, 5)]
    assert progress_lines[-1].endswith(", 4 embedded, 4 tokens, 0.0000 USD")
