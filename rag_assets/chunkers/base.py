"""What every chunker offers."""

from collections.abc import Sequence
from typing import Protocol

from rag_assets.records import ChunkSpan


class Chunker(Protocol):
    """Cuts texts into token-bounded, overlapping chunks.

    The contract, held by the tests of every chunker: spans ascend; the first starts at 0, the last
    ends at `len(text)`, each starts at or before the end of the one before it (so nothing is lost);
    no span has more than `size` tokens unless it is a single character; neighbours share at most
    `overlap` tokens. An empty text has no chunks. The result depends on the text and the chunker's
    settings only.

    Attributes:
        name: the value of `RAG_CHUNKER` that selects it.
        version: raised whenever the same text may be cut differently.
    """

    name: str
    version: str

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        """Return the spans of each text."""
        ...
