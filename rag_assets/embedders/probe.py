"""Fixed texts whose vectors tell whether the model behind a name is still the same.

The name, the address and the dimension of a model stay the same when a server loads other weights. Vectors of two
weights must not meet, so each generation keeps the vectors of these texts, and they are compared with new answers.
"""

import base64
import threading
from collections.abc import Callable, Sequence

import numpy as np

from rag_assets.embedders.base import EmbeddedBatch, Embedder, LearnsHabits
from rag_assets.embedders.splitting import Requests
from rag_assets.errors import ModelChanged
from rag_assets.records import EmbeddingModel, Vector, Vectors

PROBE_TEXTS = (
    "The quick brown fox jumps over the lazy dog near 27 quiet rivers.",
    "秋の夜に古い図書館で新しい本を読みました。",
    "تشرق الشمس كل صباح فوق المدينة القديمة والبحر الهادئ.",
)
"""Latin, Japanese and Arabic. One script alone would miss a model that changed for another one.

Never change them: every kept vector would differ.
"""

MIN_COSINE = 0.999
"""Endpoints differ in the fourth decimal from call to call."""


class Probe:
    """The answers of one endpoint to the probe texts. A difference is asked again once.

    Attributes:
        answer: the latest vectors, float32 (3, dim), unit length.
        tokens: billed for all requests.
    """

    def __init__(self, embedder: Embedder) -> None:
        """Send the first request. Raises as `embed_documents`."""
        self.embedder = embedder
        self._asked_again = False
        self.tokens = 0
        self.answer = self._ask()

    def agrees_with(self, reference: Vectors) -> bool:
        """Whether each answer has a cosine of at least `MIN_COSINE` with its reference."""
        if not same_vectors(self.answer, reference) and not self._asked_again:
            self._asked_again = True
            self.answer = self._ask()
        return same_vectors(self.answer, reference)

    def _ask(self) -> Vectors:
        requests = Requests(self.embedder, PROBE_TEXTS[0])
        answers = requests.answers_to_all(PROBE_TEXTS)
        self.tokens += requests.extra_tokens + sum(answer.tokens for answer in answers)
        return np.concatenate([answer.vectors for answer in answers])


def same_vectors(vectors: Vectors, reference: Vectors) -> bool:
    """Whether two answers, float32 (3, dim) of unit length, are from the same weights."""
    return vectors.shape == reference.shape and bool(
        (np.sum(vectors.astype(np.float64) * reference, axis=1) >= MIN_COSINE).all()
    )


def probe_to_text(vectors: Vectors | None) -> str:
    """Return the vectors as base64 of float32, "" for None."""
    return "" if vectors is None else base64.b64encode(vectors.astype("<f4").tobytes()).decode()


def probe_from_text(text: str, dimensions: int) -> Vectors | None:
    """Return the vectors, float32 (3, dim), or None for "".

    Raises:
        ValueError: not base64 of vectors of this dimension.
    """
    if not text:
        return None
    flat = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)
    return unit_probe(flat, dimensions)


def unit_probe(flat: Vector, dimensions: int) -> Vectors:
    """Return the kept vectors in their shape, or raise ValueError if they cannot be the vectors of a probe."""
    vectors = flat.reshape(len(PROBE_TEXTS), dimensions)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):  # also NaN
        raise ValueError("the vectors of the probe do not have unit length")
    return vectors


class ProbedEmbedder:
    """An embedder that sends a text only after its endpoint has answered the probe as recorded.

    Threads may share one.

    Attributes:
        model: the recorded model. Its address and revision may differ from those of the inner embedder.
        reference: the recorded vectors of the probe, None before the first answer if there are none.
        spent: called with the billed tokens of each probe, also of one that does not agree.
    """

    def __init__(
        self, inner: Embedder, model: EmbeddingModel, reference: Vectors | None, *, verified: bool = False
    ) -> None:
        self._inner = inner
        self._model = model
        self._verified = verified
        self._lock = threading.Lock()
        self.reference = reference
        self.spent: Callable[[int], None] = lambda _tokens: None

    @property
    def model(self) -> EmbeddingModel:
        return self._model

    @property
    def known_dimensions(self) -> int | None:
        return self._model.dimensions

    @property
    def batch_size(self) -> int:
        return self._inner.batch_size

    @property
    def usd_per_million_tokens(self) -> float | None:
        return self._inner.usd_per_million_tokens

    @property
    def verified(self) -> bool:
        return self._verified

    def verify(self, *, again: bool = False) -> Vectors:
        """Ask the probe, unless it has agreed before, and return the reference.

        Args:
            again: ask even if it has agreed before.

        Raises:
            ModelChanged: other vectors than recorded.
            EmbedderUnavailable, InvalidVectorError, ConfigurationError: from the embedder.
        """
        with self._lock:
            if self.reference is not None and self._verified and not again:
                return self.reference
            self._verified = False
            probe = Probe(self._inner)
            agrees = self.reference is None or probe.agrees_with(self.reference)
            self.spent(probe.tokens)
            if self.reference is None:
                self.reference = probe.answer
            elif not agrees:
                raise ModelChanged(
                    f"the model {self._model.model} does not give the vectors any more that the knowledge base was "
                    f"built with{_other_length(probe.answer, self.reference)}: its answers would be wrong. Bring back "
                    "the earlier model, or run `rag-assets plan` and refresh to rebuild with this one"
                )
            self._verified = True
            return self.reference

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        """Raises as `verify`."""
        self.verify()
        return self._with_the_right_length(self._inner.embed_documents(texts))

    def embed_as_numbers(self, texts: Sequence[str]) -> EmbeddedBatch | None:
        """Raises as `verify`."""
        self.verify()
        if not isinstance(self._inner, LearnsHabits):
            return None
        embedded = self._inner.embed_as_numbers(texts)
        return None if embedded is None else self._with_the_right_length(embedded)

    def limit_batch_size(self, num_refused: int) -> None:
        if isinstance(self._inner, LearnsHabits):
            self._inner.limit_batch_size(num_refused)

    def _with_the_right_length(self, embedded: EmbeddedBatch) -> EmbeddedBatch:
        """Raise `ModelChanged` for another length. An inner embedder without an answer so far accepts any."""
        length = embedded.vectors.shape[1]
        if length != self._model.dimensions:
            raise ModelChanged(
                f"the model {self._model.model} returned vectors of {length} dimensions, but the knowledge base has "
                f"{self._model.dimensions}: bring back the earlier model, or refresh to rebuild"
            )
        return embedded

    def embed_query(self, text: str) -> Vector:
        """Raises as `verify`."""
        self.verify()
        return self._inner.embed_query(text)


def _other_length(vectors: Vectors, reference: Vectors) -> str:
    if vectors.shape == reference.shape:
        return ""
    return f" ({vectors.shape[1]} dimensions instead of {reference.shape[1]})"
