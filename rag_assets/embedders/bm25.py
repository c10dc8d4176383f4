"""Sparse vectors for BM25, computed here: the same for the embedded engine and for a Qdrant server.

Every setting is pinned and part of the index fingerprint: the weights of a document must not depend on a library's
default. The length of a document is compared with a fixed average, so other documents have no influence either. The
store adds the inverse document frequency (`Modifier.Idf`).

Qdrant's tokenizers leave two gaps. Both are closed in advance:

- `Word` takes a Japanese sentence for one token. `Multilingual` guesses the language of each text, so the same
  characters become different tokens in a short query and in a document. `test_bm25.py` has 16 Japanese, 16 Chinese, 10
  Korean and 5 Thai questions, each with its answer in one of the 47 documents. `Word` put 0, 0, 2 and 2 of the answers
  alone on top, `Multilingual` 7, 16, 2 and 5, and `Word` over pairs of characters all of them. Pairs cost speed in these
  scripts (3,800 Japanese texts of 500 characters per second, `Multilingual` 4,400 to 13,000). On English, `Word` is 2.5
  times as fast as `Multilingual`.
- ASCII folding turns "café" into "cafe", but keeps full-width letters and ligatures: NFKC folds those.
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from rag_assets.records import SparseVector

if TYPE_CHECKING:
    import qdrant_edge

# Scripts without spaces, and Hangul, where spaces do not divide a noun from its particle.
_UNSPACED_RUN = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Bm25Encoder:
    """Texts to BM25 weights.

    Attributes:
        settings: everything with an influence on a vector, for the index fingerprint.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {
            "k": 1.2,
            "b": 0.75,
            "avg_len": 256.0,
            "language": "english",
            "tokenizer": "word",
            "lowercase": True,
            "ascii_folding": True,
            "unicode": "NFKC",
            "unspaced_scripts": "pairs",
        }
        self._model: qdrant_edge.Bm25 | None = None

    def _bm25(self) -> "qdrant_edge.Bm25":
        if self._model is None:
            from qdrant_edge import Bm25, Bm25Config, TokenizerType

            self._model = Bm25(
                Bm25Config(
                    k=self.settings["k"],
                    b=self.settings["b"],
                    avg_len=self.settings["avg_len"],
                    language=self.settings["language"],
                    tokenizer=TokenizerType.Word,
                    lowercase=self.settings["lowercase"],
                    ascii_folding=self.settings["ascii_folding"],
                )
            )
        return self._model

    def encode_document(self, text: str) -> SparseVector:
        """Return the weights of a chunk, empty if it holds only stop words and punctuation."""
        return _ascending(self._bm25().embed_document(_prepared(text, single_characters=True)))

    def encode_query(self, text: str) -> SparseVector:
        """Return weight 1 for each word of a question. May be empty."""
        return _ascending(self._bm25().embed_query(_prepared(text, single_characters=False)))


def _prepared(text: str, *, single_characters: bool) -> str:
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", _LONE_SURROGATE.sub(" ", text))

    def spaced(run: re.Match[str]) -> str:
        characters = run.group()
        words = [characters[i : i + 2] for i in range(len(characters) - 1)]
        # A document also gets each single character: a question of one character must find it.
        if single_characters or not words:
            words += characters
        return f" {' '.join(words)} "

    return _UNSPACED_RUN.sub(spaced, text)


def _ascending(vector: "qdrant_edge.SparseVector") -> SparseVector:
    weights = dict(sorted(zip(vector.indices, vector.values, strict=True)))
    return SparseVector(tuple(weights), tuple(weights.values()))
