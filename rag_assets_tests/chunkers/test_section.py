from itertools import pairwise

import pytest
from hypothesis import given, settings

from rag_assets.chunkers.section import SectionChunker
from rag_assets.chunkers.token_window import TokenWindowChunker
from rag_assets.records import ChunkSpan
from rag_assets.text.headings import headings
from rag_assets.text.tokenizers import Tokenizer
from rag_assets_tests.chunkers.contract import LIKELY_TEXT, SIZES, TEXTS, WordTokenizer, assert_contract
from rag_assets_tests.chunkers.prose import paragraphs

SIZE, OVERLAP = 40, 8  # so fewer than 10 words are tiny


def text_of(*sections: tuple[int, int]) -> str:
    """Return a text of sections, each with a level and a number of words. Titles are A, B, C and so on.

    The mark and the title are two of the words. Level 0 is text without a heading.
    """
    parts: list[str] = []
    for number, (level, num_words) in enumerate(sections):
        title = ["#" * level, chr(ord("A") + number)] if level else []
        parts.append(f"{' '.join(title)}\n{' '.join(['word'] * (num_words - len(title)))}".strip())
    return "\n\n".join(parts)


def chunks_of(*sections: tuple[int, int], marks: int = 0) -> list[str]:
    """Return the titles in each chunk, with a dot in front if the chunk begins within a section."""
    text = text_of(*sections)
    tokenizer = WordTokenizer(marks)
    spans = SectionChunker(tokenizer, SIZE, OVERLAP).chunk([text])[0]
    assert_contract(tokenizer, text, spans, SIZE, OVERLAP if not marks else SIZE)
    found = headings(text)
    return [
        ("" if text.startswith("#", span.start) else ".")
        + "".join(heading.title for heading in found if span.start <= heading.start < span.end)
        for span in spans
    ]


@given(text=TEXTS, sizes=SIZES)
@settings(max_examples=150, deadline=None)
def test_a_text_without_headings_is_cut_as_by_token_window(
    tokenizer: Tokenizer, text: str, sizes: tuple[int, int]
):
    text = text.replace("#", "")
    assert SectionChunker(tokenizer, *sizes).chunk([text]) == TokenWindowChunker(tokenizer, *sizes).chunk(
        [text]
    )


def test_a_section_is_a_chunk():
    assert chunks_of((1, 12), (2, 12), (2, 12), (3, 12), (1, 12)) == ["A", "B", "C", "D", "E"]


def test_a_hash_inside_fenced_code_begins_no_section():
    text = f"# A\n{'word ' * 12}\n```\n# B\n{'word ' * 12}\n```\n"
    assert len(SectionChunker(WordTokenizer(), SIZE, OVERLAP).chunk([text])[0]) == 1


@pytest.mark.parametrize(
    ("sections", "chunks"),
    [
        ([(2, 9)] * 3, ["ABC"]),
        ([(2, 9)] * 6, ["ABCD", "EF"]),
        ([(2, 12), (2, 9), (2, 12)], ["AB", "C"]),
        ([(2, 12), (2, 9), (2, 9), (2, 9)], ["ABCD"]),
        ([(2, 10), (2, 12)], ["A", "B"]),
        ([(2, 9), (3, 12), (2, 9), (2, 12)], ["ABC", "D"]),
        ([(2, 9), (2, 31)], ["AB"]),
        ([(2, 9), (2, 32)], ["A", "B"]),
        ([(2, 32), (2, 9)], ["A", "B"]),
    ],
    ids=str,
)
def test_tiny_neighbors_under_one_parent_are_joined_up_to_the_size(
    sections: list[tuple[int, int]], chunks: list[str]
):
    assert chunks_of(*sections) == chunks
    # The same below a parent with a chunk of its own.
    below = [chunk.translate({ord(c): ord(c) + 1 for c in "ABCDEF"}) for chunk in chunks]
    assert chunks_of((1, 35), *sections) == ["A", *below]


@pytest.mark.parametrize(
    ("sections", "chunks"),
    [
        # The last of one chapter, and the next chapter.
        ([(1, 12), (2, 12), (2, 9), (1, 12)], ["A", "BC", "D"]),
        ([(1, 12), (2, 9), (1, 12)], ["AB", "C"]),
        ([(1, 35), (2, 9), (1, 9), (2, 12)], ["A", "B", "CD"]),
        # Also where levels are skipped.
        ([(1, 35), (4, 9), (2, 9)], ["A", "BC"]),
        ([(1, 35), (2, 35), (4, 9), (2, 12)], ["A", "B", "C", "D"]),
    ],
    ids=str,
)
def test_a_tiny_section_is_not_joined_to_one_under_another_parent(
    sections: list[tuple[int, int]], chunks: list[str]
):
    assert chunks_of(*sections) == chunks


@pytest.mark.parametrize(
    ("sections", "chunks"),
    [
        # B would fit behind A, and is nearer to C.
        ([(2, 12), (2, 2), (3, 12)], ["A", "BC"]),
        ([(1, 2), (2, 2), (3, 2), (4, 12), (4, 12)], ["ABCD", "E"]),
        ([(0, 5), (1, 2), (2, 12), (2, 12)], [".BC", "D"]),
        # Together they are too long, and C by itself is not.
        ([(2, 12), (2, 5), (3, 38)], ["AB", "C"]),
        # C has to be cut anyway.
        ([(2, 12), (2, 5), (3, 50)], ["A", "BC", "."]),
    ],
    ids=str,
)
def test_a_tiny_section_goes_with_its_own_first_subsection(
    sections: list[tuple[int, int]], chunks: list[str]
):
    assert chunks_of(*sections) == chunks


def test_a_long_section_is_cut_with_overlap_only_inside():
    text = text_of((2, 12), (2, 100), (2, 12))
    spans = SectionChunker(WordTokenizer(), SIZE, OVERLAP).chunk([text])[0]
    shared = [before.end - after.start for before, after in pairwise(spans)]
    assert [amount > 0 for amount in shared] == [False, True, True, False]
    assert [span.heading_path for span in spans] == [("A",), ("B",), ("B",), ("B",), ("C",)]
    assert [span.start for span in spans if text.startswith("#", span.start)] == [
        heading.start for heading in headings(text)
    ]


def test_a_long_section_is_cut_as_by_token_window(tokenizer: Tokenizer):
    before, section = f"# A\n\n{paragraphs(60)}\n\n", f"# B\n\n{paragraphs(900, seed=1)}\n"
    moved = [
        ChunkSpan(span.start + len(before), span.end + len(before), span.token_count, span.heading_path)
        for span in TokenWindowChunker(tokenizer, 128, 32).chunk([section])[0]
    ]
    text = before + section + before
    spans = SectionChunker(tokenizer, 128, 32).chunk([text])[0]
    assert [span for span in spans if len(before) <= span.start < len(before + section)] == moved


def test_joined_sections_beyond_the_size_are_separated():
    """Inside the text the sections have 40 tokens, the size. Cut out, they have one more."""
    assert chunks_of((2, 31), (2, 9), (2, 12), marks=1) == ["A", "B", "C"]
    assert chunks_of((2, 30), (2, 9), (2, 12), marks=1) == ["AB", "C"]


def sections_of(text: str) -> list[tuple[int, int]]:
    starts = [heading.start for heading in headings(text)]
    return list(pairwise([0, *starts, len(text)]))


@pytest.mark.slow
@given(text=LIKELY_TEXT, sizes=SIZES)
@settings(max_examples=300, deadline=None)
def test_no_overlap_reaches_across_a_heading(tokenizer: Tokenizer, text: str, sizes: tuple[int, int]):
    spans = SectionChunker(tokenizer, *sizes).chunk([text])[0]
    starts = [heading.start for heading in headings(text)]
    for before, after in pairwise(spans):
        assert not [
            start for start in starts if after.start < start <= before.end and after.start < before.end
        ]


@pytest.mark.slow
@given(text=LIKELY_TEXT, sizes=SIZES)
@settings(max_examples=300, deadline=None)
def test_a_section_that_fits_is_in_one_chunk(tokenizer: Tokenizer, text: str, sizes: tuple[int, int]):
    size, overlap = sizes
    spans = SectionChunker(tokenizer, size, overlap).chunk([text])[0]
    sections = sections_of(text)
    counts = tokenizer.count([text[start:end] for start, end in sections])
    for (start, end), count in zip(sections, counts, strict=True):
        # Inside the text it may have a few more tokens than on its own.
        if start < end and count <= size - size // 8:
            assert any(span.start <= start and end <= span.end for span in spans)
