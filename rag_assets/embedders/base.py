"""The protocol of the embedders, and the check of every vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rag_assets.errors import InvalidVectorError
from rag_assets.records import EmbeddingModel, Vector, Vectors


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Vectors of one request.

    Attributes:
        vectors: float32, (n_texts, dim), unit length.
        tokens: billed for the request.
    """

    vectors: Vectors
    tokens: int


class Embedder(Protocol):
    """Turns texts into vectors of one model.

    Attributes:
        batch_size: maximum number of texts per request.
        usd_per_million_tokens: price, 0 for a local model, None if it is unknown.
    """

    @property
    def model(self) -> EmbeddingModel:
        """The settings behind the vectors.

        If the dimension is unknown, this sends one request and raises as `embed_documents`.
        """
        ...

    @property
    def batch_size(self) -> int: ...

    @property
    def usd_per_million_tokens(self) -> float | None: ...

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        """Embed at most `batch_size` texts, in order.

        Raises:
            EmbedderUnavailable: the endpoint did not answer properly. `RequestFailed` if a text may be the reason.
            InvalidVectorError: it answered with unusable vectors.
            ConfigurationError: the key or the model is refused. `RequestRefused` if a text may be the reason.
        """
        ...

    def embed_query(self, text: str) -> Vector:
        """Embed one question, shape (dim,).

        Raises:
            TextRefused: the model refuses the question.
            EmbedderUnavailable, InvalidVectorError, ConfigurationError: as `embed_documents`.
        """
        ...


@runtime_checkable
class LearnsHabits(Protocol):
    """An embedder whose endpoint may have habits of its own, learned from its answers."""

    @property
    def known_dimensions(self) -> int | None:
        """The dimension of the model, None before the first answer if only the endpoint knows it."""
        ...

    def embed_as_numbers(self, texts: Sequence[str]) -> EmbeddedBatch | None:
        """Repeat a refused request for vectors as JSON numbers. Later requests do the same if it is accepted.

        Returns:
            The vectors, or None if the endpoint is known to understand the usual form.

        Raises:
            RequestRefused, RequestFailed, EmbedderUnavailable, InvalidVectorError, ConfigurationError.
        """
        ...

    def limit_batch_size(self, num_refused: int) -> None:
        """Learn that a request of this many texts was refused for their number. Affects `batch_size`."""
        ...


def model_without_asking(embedder: Embedder) -> EmbeddingModel | None:
    """Return the model of an embedder, or None if a request would have to find its dimension."""
    if isinstance(embedder, LearnsHabits) and embedder.known_dimensions is None:
        return None
    return embedder.model


LONGEST = 1e18
"""Largest accepted length of a vector. From 1.8e19 on, the square of the length overflows float32."""


def checked_unit_vectors(vectors: npt.ArrayLike, n_texts: int, dimensions: int, model: str) -> Vectors:
    """Return the vectors as float32 of unit length, or refuse them.

    Raises:
        InvalidVectorError: wrong count or dimension, NaN, infinite, all zero, or too long. qdrant accepts and ranks
            such vectors without an error, so they are stopped here.
    """
    matrix = np.asarray(vectors, dtype=np.float32)
    if matrix.shape != (n_texts, dimensions):
        raise InvalidVectorError(
            f"model {model} returned vectors of shape {matrix.shape}, expected ({n_texts}, {dimensions})"
        )
    if not np.isfinite(matrix).all():
        bad = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise InvalidVectorError(f"model {model} returned NaN or infinity for text {bad} of {n_texts}")
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    if n_texts and not (lengths > 1e-12).all():
        bad = int(np.flatnonzero(lengths[:, 0] <= 1e-12)[0])
        raise InvalidVectorError(f"model {model} returned a zero vector for text {bad} of {n_texts}")
    if n_texts and not (lengths < LONGEST).all():
        bad = int(np.flatnonzero(lengths[:, 0] >= LONGEST)[0])
        raise InvalidVectorError(
            f"model {model} returned a vector of length {lengths[bad, 0]:.0e}, too long for text {bad} of {n_texts}"
        )
    return (matrix / lengths).astype(np.float32)
