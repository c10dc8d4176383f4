import hashlib
from collections.abc import Sequence

import pytest

from rag_assets import chunking
from rag_assets.chunking import chunk_contents
from rag_assets.errors import RefusedError
from rag_assets.records import ChunkSpan
from rag_assets_tests.documents import hashed


class FourCharacters:
    """Cuts every four characters, with one in common. Records the number of texts per call."""

    name = "four"
    version = "1"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        self.batches.append(len(texts))
        return [
            [
                ChunkSpan(start, min(start + 4, len(text)), 1, ("T",))
                for start in range(0, max(len(text) - 1, 0), 3)
            ]
            for text in texts
        ]


TEXTS = {hashed(text): text for text in ("abcdefghij", "größer", "東京 🙂 ok")}


def test_a_chunk_is_exactly_its_slice_of_the_text() -> None:
    chunks = list(chunk_contents(TEXTS, TEXTS.get, FourCharacters()))
    for chunk in chunks:
        assert chunk.text == TEXTS[chunk.content_hash][chunk.start : chunk.end]
        assert chunk.text_hash == hashlib.sha256(chunk.text.encode()).hexdigest()
        assert chunk.heading_path == ("T",)
    assert [chunk.text for chunk in chunks if chunk.content_hash == hashed("abcdefghij")] == [
        "abcd",
        "defg",
        "ghij",
    ]


def test_chunks_are_numbered_within_their_content_and_contents_keep_their_order() -> None:
    chunks = list(chunk_contents(TEXTS, TEXTS.get, FourCharacters()))
    assert list(dict.fromkeys(chunk.content_hash for chunk in chunks)) == list(TEXTS)
    for content in TEXTS:
        mine = [chunk for chunk in chunks if chunk.content_hash == content]
        assert [chunk.chunk_index for chunk in mine] == list(range(len(mine)))
        assert {chunk.total_chunks for chunk in mine} == {len(mine)}


def test_a_lost_text_stops_the_step_and_says_what_to_do() -> None:
    with pytest.raises(RefusedError, match=f"{'f' * 16} is lost.*Materialize raw_documents"):
        list(chunk_contents(["f" * 64], TEXTS.get, FourCharacters()))


def test_only_a_bounded_amount_of_text_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "_BATCH_CHARACTERS", 12)
    loaded: list[str] = []

    def text_of(content_hash: str) -> str | None:
        loaded.append(content_hash)
        return TEXTS[content_hash]

    chunker = FourCharacters()
    chunks = chunk_contents(TEXTS, text_of, chunker)
    next(chunks)
    assert len(loaded) == 2
    list(chunks)
    assert chunker.batches == [2, 1]


def test_no_content_gives_no_chunk() -> None:
    assert list(chunk_contents([], TEXTS.get, FourCharacters())) == []


def test_progress_counts_contents_and_their_chunks(progress_lines: list[str]) -> None:
    chunks = list(chunk_contents(TEXTS, TEXTS.get, FourCharacters()))
    assert [line.split(",")[0] for line in progress_lines] == [
        f"{done} of {len(TEXTS)} texts chunked" for done in (1, 2, 3)
    ]
    assert progress_lines[-1].endswith(f", {len(chunks)} chunks")
