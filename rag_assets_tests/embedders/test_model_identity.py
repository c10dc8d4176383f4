"""Decisions about the model behind a name, over a real ledger and recorded answers."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.embedders.model_identity import Identified, identify, recorded_model
from rag_assets.embedders.probe import PROBE_TEXTS, probe_to_text
from rag_assets.embedding import cached_vectors
from rag_assets.errors import EmbedderUnavailable
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import EmbeddingModel, GenerationManifest
from rag_assets_tests.documents import FINGERPRINT, MODEL, FakeEmbedder, vector_of

HERE = replace(MODEL, endpoint="http://here/v1")
THERE = replace(MODEL, endpoint="http://there/v1")


class Weights(FakeEmbedder):
    """Endpoint with replaceable weights, a little different from call to call."""

    def __init__(self, weights: str = "", model: EmbeddingModel = HERE) -> None:
        super().__init__(model)
        self.weights = weights
        self.down = False
        self._noise = np.random.default_rng(7)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        if self.down:
            raise EmbedderUnavailable("down")
        self.batches.append(list(texts))
        vectors = np.stack([vector_of(self.weights + text) for text in texts])
        vectors += 1e-4 * self._noise.normal(size=vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return EmbeddedBatch(vectors, 10)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    yield found
    found.close()


def manifest(model: EmbeddingModel = HERE, probe: str = "") -> GenerationManifest:
    fingerprint = FINGERPRINT | {"embedding_model": asdict(model)}
    return GenerationManifest("g1", "r1", None, fingerprint, "00", 0, 0, "", "2026-01-01", probe=probe)


def built_with(found: Identified) -> GenerationManifest:
    return manifest(found.embedder.model, probe_to_text(found.embedder.reference))


def test_the_same_weights_are_production_at_any_address(ledger: Ledger) -> None:
    production = built_with(identify(Weights(), None, ledger))
    for model in (HERE, THERE):
        embedder = Weights(model=model)
        found = identify(embedder, production, ledger)
        assert (found.outcome, found.embedder.model, found.tokens) == ("verified", HERE, 10)
        assert embedder.batches == [list(PROBE_TEXTS)]
        # The reference stays, so small differences do not add up over the generations.
        assert built_with(found) == production


def test_other_weights_get_a_lasting_revision_of_their_own(ledger: Ledger) -> None:
    production = built_with(identify(Weights(), None, ledger))
    found = identify(Weights("b"), production, ledger)
    assert found.outcome == "changed"
    assert "gives other vectors" in found.detail
    assert found.embedder.model == replace(HERE, revision=found.embedder.model.revision)
    assert found.embedder.model.revision.startswith("probe-")
    # Approval and rebuild come later: the answers differ in the fourth decimal, and it is still the same model.
    again = identify(Weights("b"), production, ledger)
    assert again.embedder.model == found.embedder.model
    rebuilt = built_with(again)
    assert identify(Weights("b"), rebuilt, ledger).outcome == "verified"
    third = identify(Weights("c"), rebuilt, ledger)
    assert third.embedder.model.revision not in ("", found.embedder.model.revision)
    # The first weights are back: their cached vectors count again.
    assert identify(Weights(), rebuilt, ledger).embedder.model == HERE


def test_nothing_cached_with_other_weights_is_used(ledger: Ledger) -> None:
    texts = [("1" * 64, "one"), ("2" * 64, "two")]
    first = identify(Weights(), None, ledger)
    from rag_assets.embedding import EmbeddingUsage, embed_texts

    list(embed_texts(texts, first.embedder, ledger, EmbeddingUsage()))
    assert len(cached_vectors(texts, first.embedder.model, ledger)) == 2
    # Also when nothing was promoted, so that no manifest tells.
    changed = identify(Weights("b"), None, ledger)
    assert "not used" in changed.detail
    assert cached_vectors(texts, changed.embedder.model, ledger) == {}
    assert len(cached_vectors(texts, identify(Weights(), None, ledger).embedder.model, ledger)) == 2


def test_a_generation_of_an_earlier_version_is_taken_on_trust_once(ledger: Ledger) -> None:
    found = identify(Weights(), manifest(), ledger)
    assert (found.outcome, found.embedder.model) == ("trusted", HERE)
    assert "on trust" in found.detail
    assert identify(Weights(), manifest(), ledger).outcome == "verified"
    assert identify(Weights("b"), manifest(), ledger).outcome == "changed"
    assert identify(Weights(model=THERE), manifest(), ledger).embedder.model == HERE


def test_a_generation_of_an_earlier_version_cannot_be_compared_with_another_address(ledger: Ledger) -> None:
    found = identify(Weights(model=THERE), manifest(), ledger)
    assert (found.outcome, found.embedder.model) == ("changed", THERE)
    assert "cannot be compared" in found.detail


def test_without_an_answer_production_is_assumed_and_nothing_is_sent(ledger: Ledger) -> None:
    production = built_with(identify(Weights(), None, ledger))
    for model in (HERE, THERE):
        embedder = Weights("b", model)
        embedder.down = True
        found = identify(embedder, production, ledger)
        assert (found.outcome, found.embedder.model, found.embedder.verified) == ("unverified", HERE, False)
        with pytest.raises(EmbedderUnavailable):
            found.embedder.embed_documents(["text"])
    with pytest.raises(EmbedderUnavailable):
        identify(embedder, None, ledger)
    with pytest.raises(EmbedderUnavailable):
        identify(embedder, manifest(replace(MODEL, endpoint="http://a/v1", model="unknown")), ledger)


def test_a_lost_ledger_uses_no_cached_vector_of_unknown_weights(ledger: Ledger, tmp_path: Path) -> None:
    production = built_with(identify(Weights(), None, ledger))
    changed = built_with(identify(Weights("b"), production, ledger))
    empty = SqliteLedger(tmp_path / "empty.sqlite", "kb")
    try:
        assert identify(Weights("b"), changed, empty).embedder.model == recorded_model(changed)
        assert identify(Weights("c"), changed, empty).embedder.model.revision.startswith("probe-")
    finally:
        empty.close()
