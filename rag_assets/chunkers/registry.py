"""Chunkers by name. A new one is a file here and a line in `CHUNKERS`."""

from collections.abc import Callable

from rag_assets.chunkers.base import Chunker
from rag_assets.chunkers.section import SectionChunker
from rag_assets.chunkers.token_window import TokenWindowChunker
from rag_assets.errors import ConfigurationError
from rag_assets.text.tokenizers import Tokenizer
from rag_assets.text.wording import counted

CHUNKERS: dict[str, Callable[[Tokenizer, int, int], Chunker]] = {
    TokenWindowChunker.name: TokenWindowChunker,
    SectionChunker.name: SectionChunker,
}

MIN_CHUNK_SIZE_TOKENS = 16


def build_chunker(name: str, tokenizer: Tokenizer, size: int, overlap: int) -> Chunker:
    """Return the chunker of this name. `size` and `overlap` are in tokens.

    Raises:
        ConfigurationError: the name is unknown, or the sizes are out of range.
    """
    if name not in CHUNKERS:
        raise ConfigurationError(f"RAG_CHUNKER is {name!r}; it can be {', '.join(sorted(CHUNKERS))}")
    if size < MIN_CHUNK_SIZE_TOKENS:
        raise ConfigurationError(
            f"RAG_CHUNK_SIZE is {counted(size, 'token')}; it must be at least {MIN_CHUNK_SIZE_TOKENS}"
        )
    if not 0 <= overlap <= size // 2:
        raise ConfigurationError(
            f"RAG_CHUNK_OVERLAP is {counted(overlap, 'token')}; it must be from 0 to half of RAG_CHUNK_SIZE ({size // 2})"
        )
    return CHUNKERS[name](tokenizer, size, overlap)
