"""The protocol of the chunkers."""

from collections.abc import Sequence
from typing import Protocol

from rag_assets.records import ChunkSpan


class Chunker(Protocol):
    """Cuts texts into token-bounded, overlapping chunks.

    The contract, tested for every chunker:

    - Spans ascend. The first starts at 0, the last ends at `len(text)`.
    - Each span starts at or before the end of the previous one, so nothing is lost.
    - No span has more than `size` tokens unless it is a single character.
    - Neighbors share at most `overlap` tokens.
    - An empty text has no chunks.
    - The result depends only on the text and the chunker's settings.

    Attributes:
        name: the value of `RAG_CHUNKER` for this chunker.
        version: raise it whenever the same text may be cut differently.
    """

    name: str
    version: str

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        """Return the spans of each text."""
        ...
