"""The text of one document, page by page, as far as a reader may read it."""

from dataclasses import dataclass

from rag_assets.generations.contents import locations_of
from rag_assets.records import Location, Payload, SearchFilter
from rag_assets.retrieval import GenerationSearch

MOST_CHARACTERS = 40_000
"""Of one page, unless a single chunk is longer. About 10,000 tokens, which assistants still take as one answer."""
_MOST_CHUNKS = 200
_GAP = "\n[…]\n"


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some chunks of a document, joined without their overlap.

    Attributes:
        next_chunk: position of the next page, None at the end.
        flags: of all its chunks, see docs/payload.md.
    """

    location: Location
    text: str
    first_chunk: int
    next_chunk: int | None
    total_chunks: int
    flags: tuple[str, ...]


def read_page(
    production: GenerationSearch, document_id: str, first_chunk: int, readable: SearchFilter
) -> DocumentPage | None:
    """Return the page that begins with a chunk, or None if the reader may read no such chunk.

    Args:
        readable: the access filter of the reader.
    """
    wanted = range(first_chunk, first_chunk + _MOST_CHUNKS)
    found = _of_one_document(production.document_chunks(document_id, wanted, readable), document_id)
    if not found:
        return None
    text, end, used = "", 0, list[Payload]()
    for payload in found:
        start = payload["start"]
        gap = _GAP if used and start > end else ""
        more = gap + (payload["text"][end - start :] if used and start <= end else payload["text"])
        if used and len(text) + len(more) > MOST_CHARACTERS:
            break
        text, end = text + more, payload["end"]
        used.append(payload)
    after = used[-1]["chunk_index"] + 1
    return DocumentPage(
        location=locations_of(used[0])[0],
        text=text,
        first_chunk=used[0]["chunk_index"],
        next_chunk=after if after < used[0]["total_chunks"] else None,
        total_chunks=used[0]["total_chunks"],
        flags=tuple(sorted({flag for payload in used for flag in payload.get("flags", ())})),
    )


def _of_one_document(found: list[Payload], document_id: str) -> list[Payload]:
    """Return the chunks of this document alone. Two ids may differ in the spelling of their accents only."""

    def is_exact(payload: Payload) -> bool:
        return any(place["document_id"] == document_id for place in payload["locations"])

    content = next((one["content_hash"] for one in [*filter(is_exact, found), *found]), None)
    return [one for one in found if one["content_hash"] == content]
