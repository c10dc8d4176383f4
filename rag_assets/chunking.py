"""Contents -> chunks, streaming, with a bounded amount of text in memory."""

from collections.abc import Callable, Collection, Iterable, Iterator

from rag_assets.chunkers.base import Chunker
from rag_assets.errors import RefusedError
from rag_assets.progress import Progress
from rag_assets.records import Chunk
from rag_assets.text.hashing import text_sha256
from rag_assets.text.instruction_patterns import flags_of
from rag_assets.text.wording import counted

_BATCH_CHARACTERS = 1_000_000


def chunk_contents(
    content_hashes: Collection[str], text_of: Callable[[str], str | None], chunker: Chunker
) -> Iterator[Chunk]:
    """Yield the chunks of each content, in order.

    Args:
        text_of: returns the extracted text of a content, or None if it is lost.

    Raises:
        RefusedError: a text is lost and cannot be recovered.
    """
    progress = Progress("texts chunked", len(content_hashes))
    num_chunks = 0
    for batch in _text_batches(content_hashes, text_of):
        for (content_hash, text), spans in zip(
            batch, chunker.chunk([text for _, text in batch]), strict=True
        ):
            for index, span in enumerate(spans):
                chunk_text = text[span.start : span.end]
                yield Chunk(
                    content_hash=content_hash,
                    chunk_index=index,
                    total_chunks=len(spans),
                    start=span.start,
                    end=span.end,
                    token_count=span.token_count,
                    heading_path=span.heading_path,
                    text=chunk_text,
                    text_hash=text_sha256(chunk_text),
                    flags=flags_of(chunk_text),
                )
            num_chunks += len(spans)
            progress.advance(note=counted(num_chunks, "chunk"))


def _text_batches(
    content_hashes: Iterable[str], text_of: Callable[[str], str | None]
) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    characters = 0
    for content_hash in content_hashes:
        text = text_of(content_hash)
        if text is None:
            raise RefusedError(
                f"the text of content {content_hash[:16]} is lost, and no source holds it. Nothing was changed. "
                "Materialize raw_documents to read the sources again"
            )
        batch.append((content_hash, text))
        characters += len(text)
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
