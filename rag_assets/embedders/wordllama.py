"""The local default: wordllama's 256-dimensional static embeddings, read from its wheel.

A vector is the mean of the vectors of its tokens. The weights are read with safetensors rather than through
`wordllama.WordLlama`, for two reasons. The import of this package calls `logging.basicConfig` on the host's root logger.
And its inference pads every text of a batch to the longest one: speed, memory and the last bits of a result depend on
the other texts. The tests compare our vectors with those of the package.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from rag_assets.embedders.base import EmbeddedBatch, checked_unit_vectors
from rag_assets.errors import ConfigurationError
from rag_assets.records import EmbeddingModel, Vector, Vectors
from rag_assets.text.tokenizers import wordllama_folder, wordllama_tokenizer

MODEL_NAME = "l2_supercat_256"
DIMENSIONS = 256

_ZERO_LENGTH = 1e-6
_FEW_TEXTS = 8


class WordLlamaEmbedder:
    """Embeds in this process, without a key or a network. Threads may share one.

    Two kinds of text get the vector of a single space: "", the only text without tokens, and a text whose token
    vectors cancel out. Such a chunk is indexed rather than failing the whole refresh.
    """

    def __init__(self) -> None:
        self._path = wordllama_folder() / "weights" / f"{MODEL_NAME}.safetensors"
        if not self._path.is_file():
            raise ConfigurationError(f"{self._path} is missing: reinstall wordllama>=0.4,<0.5")
        try:
            revision = version("wordllama")
        except PackageNotFoundError:
            revision = ""
        self._tokenizer = wordllama_tokenizer()
        self.model = EmbeddingModel("wordllama", MODEL_NAME, DIMENSIONS, revision=revision)
        self.batch_size = 256
        self.usd_per_million_tokens: float | None = 0.0

    @cached_property
    def _stored(self) -> npt.NDArray[np.floating[Any]]:
        """The weights as stored, float16 (n_tokens, 256). Read on first use."""
        from safetensors import safe_open

        with safe_open(str(self._path), framework="np") as weights:
            table = weights.get_tensor("embedding.weight")
        if table.ndim != 2 or table.shape[1] != DIMENSIONS:
            raise ConfigurationError(
                f"{self._path} holds weights of shape {table.shape}, not (n, {DIMENSIONS})"
            )
        return table

    @cached_property
    def _table(self) -> Vectors:
        """The weights, float32 (n_tokens, 256), for many texts: converting the rows of each text takes seven times as long."""
        return np.ascontiguousarray(self._stored, dtype=np.float32)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        """Embed texts in order. The result for a text does not depend on the others.

        Raises:
            InvalidVectorError: the weights are damaged.
        """
        # A probe or a question needs a few rows. Converting all of them takes longer than everything else.
        table = self._stored if len(texts) <= _FEW_TEXTS else self._table
        pooled = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        tokens = 0
        last_row = len(table) - 1
        for row, ids in enumerate(self._tokenizer.token_ids(texts)):
            tokens += len(ids)
            weights = table.take(np.minimum(ids, last_row), axis=0).astype(np.float32, copy=False)
            # The sum has the direction of the mean, and only the direction is kept.
            np.add.reduce(weights, axis=0, out=pooled[row])
        empty = np.flatnonzero(np.linalg.norm(pooled, axis=1) < _ZERO_LENGTH)
        if len(empty):
            space = self._tokenizer.token_ids([" "])[0]
            pooled[empty] = table[space].astype(np.float32).sum(axis=0)
        return EmbeddedBatch(checked_unit_vectors(pooled, len(texts), DIMENSIONS, MODEL_NAME), tokens)

    def embed_query(self, text: str) -> Vector:
        """Embed one question, shape (256,)."""
        return self.embed_documents([text]).vectors[0]
