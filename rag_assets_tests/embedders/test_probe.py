from collections.abc import Sequence

import numpy as np
import pytest

from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.embedders.probe import (
    PROBE_TEXTS,
    Probe,
    ProbedEmbedder,
    probe_from_text,
    probe_to_text,
    same_vectors,
)
from rag_assets.errors import EmbedderUnavailable, ModelChanged
from rag_assets.records import Vectors
from rag_assets_tests.documents import MODEL, FakeEmbedder, vector_of


def reference() -> Vectors:
    return np.stack([vector_of(text) for text in PROBE_TEXTS])


class Changing(FakeEmbedder):
    """Answers the first requests from other weights."""

    def __init__(self, wrong_answers: int) -> None:
        super().__init__()
        self.wrong_answers = wrong_answers

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        embedded = super().embed_documents(texts)
        if self.wrong_answers:
            self.wrong_answers -= 1
            return EmbeddedBatch(-embedded.vectors, embedded.tokens)
        return embedded


def noisy(vectors: Vectors, size: float) -> Vectors:
    noise = np.random.default_rng(7).normal(size=vectors.shape)
    noise *= size / np.linalg.norm(noise, axis=1, keepdims=True)
    changed = vectors + noise
    return (changed / np.linalg.norm(changed, axis=1, keepdims=True)).astype(np.float32)


def test_answers_that_differ_in_the_fourth_decimal_are_the_same() -> None:
    assert same_vectors(noisy(reference(), 1e-4), reference())
    assert same_vectors(noisy(reference(), 0.02), reference())
    assert not same_vectors(noisy(reference(), 0.1), reference())


def test_one_text_of_another_script_is_enough_for_a_difference() -> None:
    for row in range(len(PROBE_TEXTS)):
        changed = reference()
        changed[row] = vector_of("something else")
        assert not same_vectors(changed, reference())


def test_a_difference_is_asked_again_once() -> None:
    assert Probe(Changing(1)).agrees_with(reference())
    embedder = Changing(3)
    probe = Probe(embedder)
    assert not probe.agrees_with(reference())
    assert not probe.agrees_with(reference())
    assert embedder.batches == [list(PROBE_TEXTS)] * 2
    assert probe.tokens == 2 * sum(len(text.split()) for text in PROBE_TEXTS)


def test_no_text_is_sent_to_another_model() -> None:
    inner = Changing(2)
    embedder = ProbedEmbedder(inner, MODEL, reference())
    with pytest.raises(ModelChanged, match=MODEL.model):
        embedder.embed_query("password")
    assert inner.batches == [list(PROBE_TEXTS)] * 2
    # The earlier model is back.
    embedder.embed_documents(["password"])
    embedder.embed_documents(["another"])
    assert inner.batches[2:] == [list(PROBE_TEXTS), ["password"], ["another"]]


def test_a_verified_model_is_asked_again_only_on_request() -> None:
    inner = Changing(0)
    embedder = ProbedEmbedder(inner, MODEL, reference(), verified=True)
    embedder.verify()
    assert inner.batches == []
    inner.wrong_answers = 2
    with pytest.raises(ModelChanged):
        embedder.verify(again=True)
    assert not embedder.verified


def test_the_tokens_of_every_probe_are_counted_also_of_one_that_does_not_agree() -> None:
    embedder = ProbedEmbedder(Changing(2), MODEL, reference())
    counted: list[int] = []
    embedder.spent = counted.append
    once = sum(len(text.split()) for text in PROBE_TEXTS)
    with pytest.raises(ModelChanged):
        embedder.verify()
    embedder.verify()
    embedder.verify()
    embedder.verify(again=True)
    assert counted == [2 * once, once, once]


def test_a_silent_endpoint_is_not_another_model() -> None:
    inner = FakeEmbedder(fail_after_batches=0, error=EmbedderUnavailable("down"))
    with pytest.raises(EmbedderUnavailable):
        ProbedEmbedder(inner, MODEL, reference()).embed_query("password")


def test_the_vectors_are_kept_as_text() -> None:
    kept = probe_from_text(probe_to_text(reference()), MODEL.dimensions)
    assert kept is not None
    assert (kept == reference()).all()
    assert probe_from_text("", 8) is None
    assert probe_to_text(None) == ""


@pytest.mark.parametrize("text", ["AAAA", "no base64!", probe_to_text(reference() * np.float32("nan"))])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        probe_from_text(text, MODEL.dimensions)
