import pytest

from rag_assets.records import Payload, SearchFilter
from rag_assets.serving import documents
from rag_assets.serving.documents import DocumentPage, read_page
from rag_assets_tests.documents import place

NAME = "filesystem:long.md"
TEXT = "".join(f"Sentence number {number:03}. " for number in range(60))


class Chunks:
    """A generation with one document in overlapping chunks."""

    def __init__(self, *payloads: Payload) -> None:
        self._payloads = payloads

    def document_chunks(self, document_id: str, chunks: range, search_filter: SearchFilter) -> list[Payload]:
        return [payload for payload in self._payloads if payload["chunk_index"] in chunks]


def chunk(number: int, start: int, end: int, *, total: int, text: str = TEXT, **fields: object) -> Payload:
    return {
        "chunk_index": number,
        "total_chunks": total,
        "start": start,
        "end": end,
        "text": text[start:end],
        "content_hash": "a",
        "locations": [place("long.md").to_payload()],
        **fields,
    }


def page(*payloads: Payload, first_chunk: int = 0) -> DocumentPage | None:
    return read_page(Chunks(*payloads), NAME, first_chunk, SearchFilter())  # type: ignore[arg-type]


def overlapping(size: int = 100, overlap: int = 30) -> list[Payload]:
    starts = range(0, len(TEXT) - overlap, size - overlap)
    return [
        chunk(number, start, min(start + size, len(TEXT)), total=len(starts))
        for number, start in enumerate(starts)
    ]


def test_overlapping_chunks_join_to_the_text() -> None:
    found = page(*overlapping())
    assert found is not None
    assert (found.text, found.next_chunk, found.first_chunk) == (TEXT, None, 0)


def test_pages_follow_one_another_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 250)
    payloads = overlapping()
    at, read = 0, ""
    for _ in range(100):
        found = page(*payloads, first_chunk=at)
        assert found is not None
        assert len(found.text) <= 250
        start = payloads[at]["start"]
        assert found.text == TEXT[start : start + len(found.text)]
        read += found.text[len(read) - start :]
        if found.next_chunk is None:
            break
        assert found.next_chunk > at
        at = found.next_chunk
    assert read == TEXT


def test_a_chunk_longer_than_a_page_is_a_page() -> None:
    long = "x" * (documents.MOST_CHARACTERS + 5)
    found = page(
        chunk(0, 0, len(long), total=2, text=long), chunk(1, len(long) - 9, len(long), total=2, text=long)
    )
    assert found is not None
    assert (found.text, found.next_chunk) == (long, 1)


def test_a_chunk_that_is_not_readable_leaves_a_mark() -> None:
    payloads = overlapping()
    found = page(payloads[0], payloads[2])
    assert found is not None
    assert found.text == f"{payloads[0]['text']}\n[…]\n{payloads[2]['text']}"
    assert found.next_chunk == 3


def test_flags_of_all_chunks_are_together() -> None:
    flagged = chunk(1, 0, 10, total=2, flags=["instructions"])
    found = page(chunk(0, 0, 10, total=2), flagged)
    assert found is not None
    assert found.flags == ("instructions",)


def test_of_two_spellings_of_an_id_the_exact_one_is_read() -> None:
    decomposed = place("cafe\u0301.md").to_payload()
    composed = place("caf\u00e9.md").to_payload()
    chunks = Chunks(
        chunk(0, 0, 5, total=1, content_hash="d", locations=[decomposed]),
        chunk(0, 5, 9, total=1, content_hash="c", locations=[composed]),
    )
    for path, content in (("caf\u00e9.md", TEXT[5:9]), ("cafe\u0301.md", TEXT[:5])):
        found = read_page(chunks, f"filesystem:{path}", 0, SearchFilter())  # type: ignore[arg-type]
        assert found is not None
        assert found.text == content
        assert found.location.path == path


def test_without_a_readable_chunk_there_is_no_page() -> None:
    assert page() is None
    assert page(*overlapping(), first_chunk=500) is None
