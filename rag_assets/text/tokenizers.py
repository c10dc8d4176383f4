"""The tokenizers: OpenAI's byte-pair encodings, and the tokenizer in wordllama's wheel.

Both tokenize a text longer than `BLOCK_CHARACTERS` in blocks. The Hugging Face library does not split at words but
merges over the whole text: 1 MB in one piece runs at about a fifth of the speed of the same text in blocks of 16 KB. A
block ends before a single space between two words if possible. There the tokens are the same as those of the whole text.

Vocabularies are loaded on first use. A tokenizer's name costs nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from rag_assets.backports import batched
from rag_assets.errors import ConfigurationError, EmbedderUnavailable
from rag_assets.records import EmbeddingModel

if TYPE_CHECKING:
    import tiktoken
    import tokenizers

BLOCK_CHARACTERS = 16_384
_ENCODED_AT_ONCE = 64
WORDLLAMA_TOKENIZER = "wordllama:l2_supercat"

_Encoded = TypeVar("_Encoded")
_DEFAULT_ENCODING = "cl100k_base"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer(Protocol):
    """Counts tokens like an embedding model.

    Attributes:
        name: part of the index fingerprint.
    """

    name: str

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens not counted."""
        ...

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Return for each text the start of each token, as ascending character offsets.

        The tokens of one character share its offset.
        """
        ...


class TiktokenTokenizer:
    """One of OpenAI's encodings, by name. Special tokens in a text are ordinary text."""

    def __init__(self, encoding_name: str) -> None:
        self.encoding_name = encoding_name
        self.name = f"tiktoken:{encoding_name}"

    @cached_property
    def _encoding(self) -> "tiktoken.Encoding":
        import tiktoken

        if self.encoding_name not in tiktoken.list_encoding_names():
            raise ConfigurationError(
                f"tiktoken has no encoding named {self.encoding_name}; set RAG_TOKENIZER"
            )
        try:
            return tiktoken.get_encoding(self.encoding_name)
        except Exception as error:  # an error of requests, an unwritable cache folder, a wrong checksum
            reason = type(error).__name__
        raise EmbedderUnavailable(
            f"could not load the vocabulary {self.encoding_name} of tiktoken ({reason}). It is downloaded "
            "once, from openaipublic.blob.core.windows.net; without a network, set TIKTOKEN_CACHE_DIR to a "
            "folder with the vocabulary, or RAG_TOKENIZER=wordllama"
        )

    @cached_property
    def _byte_lengths(self) -> npt.NDArray[np.int64]:
        """Number of bytes of each token seen so far, by its id, 0 for the others."""
        return np.zeros(self._encoding.n_vocab, dtype=np.int64)

    def _lengths(self, tokens: list[int]) -> npt.NDArray[np.int64]:
        """Return the number of bytes of each token."""
        ids = np.asarray(tokens, dtype=np.int64)
        lengths = self._byte_lengths[ids]
        if not lengths.all():
            for token in set(ids[lengths == 0].tolist()):
                self._byte_lengths[token] = len(self._encoding.decode_single_token_bytes(token))
            lengths = self._byte_lengths[ids]
        return lengths

    def _encode(self, pieces: list[str]) -> list[list[int]]:
        if len(pieces) == 1:
            return [self._encoding.encode_ordinary(pieces[0])]
        return self._encoding.encode_ordinary_batch(pieces, num_threads=2)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        blocks = _Blocks(texts)
        return blocks.sums([len(tokens) for _, tokens in blocks.encoded(self._encode)])

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Return the character offset of each token.

        A token is a run of bytes. If it begins inside a character, it has the offset of this character.
        """
        blocks = _Blocks(texts)
        starts: list[npt.NDArray[np.int64]] = []
        for piece, tokens in blocks.encoded(self._encode):
            lengths = self._lengths(tokens)
            byte_starts = np.cumsum(lengths) - lengths
            if piece.isascii():
                starts.append(byte_starts)
                continue
            data = np.frombuffer(piece.encode(), dtype=np.uint8)
            character_of_byte = np.cumsum((data & 0xC0) != 0x80) - 1
            starts.append(character_of_byte[byte_starts])
        return blocks.joined(starts)


class HuggingFaceTokenizer:
    """A tokenizer of the `tokenizers` library, from its JSON file. Special tokens are not added."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        from tokenizers import Tokenizer as HuggingFace

        tokenizer = HuggingFace.from_file(str(self.path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _encode_fast(self, pieces: list[str]) -> "list[tokenizers.Encoding]":
        return self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)

    def _encode_with_offsets(self, pieces: list[str]) -> "list[tokenizers.Encoding]":
        return self._tokenizer.encode_batch(pieces, add_special_tokens=False)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        blocks = _Blocks(texts, drop_space=True)
        return blocks.sums([len(encoding) for _, encoding in blocks.encoded(self._encode_fast)])

    def token_ids(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Return the token ids of each text, `count` in number."""
        blocks = _Blocks(texts, drop_space=True)
        encodings = blocks.encoded(self._encode_fast)
        return blocks.concatenated([np.asarray(encoding.ids, dtype=np.int64) for _, encoding in encodings])

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Return the character offset of each token."""
        blocks = _Blocks(texts, drop_space=True)
        starts: list[npt.NDArray[np.int64]] = []
        for _, encoding in blocks.encoded(self._encode_with_offsets):
            flat = np.fromiter(chain.from_iterable(encoding.offsets), dtype=np.int64, count=2 * len(encoding))
            # The bytes of a character outside the vocabulary share its offsets, and a tokenizer's normalizer may
            # report a marker behind the text although it comes before.
            starts.append(np.maximum.accumulate(flat[::2]))
        return blocks.joined(starts)


def wordllama_folder() -> Path:
    """Return the folder of the installed wordllama package, with its weights and tokenizer.

    The package is not imported: its `__init__` calls `logging.basicConfig`.

    Raises:
        ConfigurationError: wordllama is not installed.
    """
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ConfigurationError("the package wordllama is not installed: run `pip install wordllama`")
    return Path(spec.origin).parent


@lru_cache(maxsize=1)
def wordllama_tokenizer() -> HuggingFaceTokenizer:
    """Return the tokenizer in wordllama's wheel.

    Raises:
        ConfigurationError: wordllama is not installed, or the file is missing from it.
    """
    path = wordllama_folder() / "tokenizers" / "l2_supercat_tokenizer_config.json"
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: reinstall wordllama>=0.4,<0.5")
    return HuggingFaceTokenizer(WORDLLAMA_TOKENIZER, path)


def build_tokenizer(model: EmbeddingModel, override: str = "") -> Tokenizer:
    """Return the tokenizer of the model, or the tokenizer named by `RAG_TOKENIZER`.

    For a model behind the OpenAI API unknown to tiktoken, this is cl100k_base.

    Raises:
        ConfigurationError: the override, or the model's provider, is unknown.
    """
    if override == "wordllama":
        return wordllama_tokenizer()
    if override in ("cl100k_base", "o200k_base"):
        return TiktokenTokenizer(override)
    if override:
        raise ConfigurationError(
            f"RAG_TOKENIZER is {override!r}; it can be cl100k_base, o200k_base, wordllama, or empty for the "
            "embedding model's own"
        )
    if model.provider == "wordllama":
        return wordllama_tokenizer()
    if model.provider == "openai":
        from tiktoken.model import encoding_name_for_model

        try:
            return TiktokenTokenizer(encoding_name_for_model(model.model))
        except KeyError:
            return TiktokenTokenizer(_DEFAULT_ENCODING)
    raise ConfigurationError(
        f"no tokenizer is known for embedding models of provider {model.provider!r}; set RAG_TOKENIZER to "
        "cl100k_base, o200k_base or wordllama"
    )


class _Blocks:
    """Texts cut into pieces of at most `BLOCK_CHARACTERS`, and the way back from pieces to texts.

    Attributes:
        pieces: the texts to tokenize. No tokenizer accepts lone surrogates. Each is replaced by one character,
            so offsets do not change.
        drop_space: leave out the space at the beginning of a piece, because the tokenizer adds one itself.
    """

    def __init__(self, texts: Sequence[str], *, drop_space: bool = False) -> None:
        self.pieces: list[str] = []
        self._bases: list[list[int]] = []  # of each text: the offset of each of its pieces
        self._dropped: list[bool] = []  # of each piece: whether the space at its offset was left out
        for text in texts:
            if not text.isascii():
                text = _LONE_SURROGATE.sub("\ufffd", text)
            if len(text) <= BLOCK_CHARACTERS:
                self._bases.append([0])
                self._dropped.append(False)
                self.pieces.append(text)
                continue
            cuts = _block_cuts(text)
            self._bases.append(cuts)
            for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
                drop = drop_space and start > 0 and _is_word_gap(text, start)
                self._dropped.append(drop)
                self.pieces.append(text[start + drop : end])

    def encoded(self, encode: Callable[[list[str]], Sequence[_Encoded]]) -> Iterator[tuple[str, _Encoded]]:
        """Yield each piece with its encoding.

        An encoding is up to a hundred times as large as the piece, so only `_ENCODED_AT_ONCE` of them are held.
        """
        for pieces in batched(self.pieces, _ENCODED_AT_ONCE):
            yield from zip(pieces, encode(pieces), strict=True)

    def sums(self, counts: list[int]) -> list[int]:
        """Return one count per text from one per piece."""
        remaining = iter(counts)
        return [sum(next(remaining) for _ in bases) for bases in self._bases]

    def concatenated(self, arrays: list[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
        """Return one array per text from one per piece."""
        remaining = iter(arrays)
        joined: list[npt.NDArray[np.int64]] = []
        for bases in self._bases:
            parts = [next(remaining) for _ in bases]
            joined.append(parts[0] if len(parts) == 1 else np.concatenate(parts))
        return joined

    def joined(self, starts: list[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
        """Return the offsets in each text from the offsets in each piece."""
        moved: list[npt.NDArray[np.int64]] = []
        for base, dropped, piece_starts in zip(chain(*self._bases), self._dropped, starts, strict=True):
            if base:
                piece_starts = piece_starts + (base + dropped)
                if dropped and len(piece_starts):
                    piece_starts[0] = base
            moved.append(piece_starts)
        return self.concatenated(moved)


def _is_word_gap(text: str, position: int) -> bool:
    return text[position] == " " and not text[position - 1].isspace() and not text[position + 1].isspace()


def _block_cuts(text: str) -> list[int]:
    """Return the starts of the blocks of a long text: at a gap between words, after a line, or anywhere."""
    cuts = [0]
    while len(text) - cuts[-1] > BLOCK_CHARACTERS:
        low, high = cuts[-1] + BLOCK_CHARACTERS // 2, cuts[-1] + BLOCK_CHARACTERS
        cut = text.rfind(" ", low, high)
        while cut != -1 and not _is_word_gap(text, cut):
            cut = text.rfind(" ", low, cut)
        if cut == -1:
            cut = text.rfind("\n", low, high) + 1 or high
        cuts.append(cut)
    return cuts
