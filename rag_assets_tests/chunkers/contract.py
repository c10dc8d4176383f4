"""The contract of a chunker as assertions, difficult texts, and misleading tokenizers."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from rag_assets.records import ChunkSpan
from rag_assets.text.headings import heading_path_at, headings
from rag_assets.text.tokenizers import Tokenizer

PIECES = [
    "word ", "internationalization ", "end. ", "Stop!\n", "\n\n", "# Heading\n", "\n## Second\n\n", "\n### Third\nword ",
    "。", "日本語", "「はい。」", "なに？", "\U0001f98b", "👩‍👩‍👧", "e\u0301\u0301", "    ", "\t", "3.14 ", "=====", "........",
    "\ufdfa", "<s>", "<|endoftext|>", "\x1f", "\ud800", "กรุงเทพ", "한국어 ", "x", "0123456789abcdef", "```\n", "\u00a0",
    "\u3000",
]  # fmt: skip
LIKELY_TEXT = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
TEXTS = st.one_of(LIKELY_TEXT, ANY_TEXT, st.tuples(LIKELY_TEXT, ANY_TEXT).map("".join))
SIZES = st.integers(16, 48).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size // 2)))


def assert_contract(tokenizer: Tokenizer, text: str, spans: list[ChunkSpan], size: int, overlap: int):
    if not text:
        assert spans == []
        return
    assert spans[0].start == 0
    assert spans[-1].end == len(text)
    for before, after in pairwise(spans):
        assert before.start < after.start <= before.end < after.end
    slices = [text[span.start : span.end] for span in spans]
    counts = tokenizer.count(slices)
    assert counts == [span.token_count for span in spans]
    for count, part in zip(counts, slices, strict=True):
        assert count <= size or len(part) == 1
    shared = tokenizer.count([text[after.start : before.end] for before, after in pairwise(spans)])
    assert all(tokens <= overlap for tokens in shared)
    found = headings(text)
    assert [span.heading_path for span in spans] == [heading_path_at(found, span.start) for span in spans]


class CharacterTokenizer:
    """Hostile: a slice has many more tokens than the same characters inside the text.

    In texts longer than `until` a token is ten characters. In shorter texts a character is a token, or two.
    """

    name = "hostile"

    def __init__(self, until: int, tokens_a_character: int = 1) -> None:
        self.until = until
        self.tokens_a_character = tokens_a_character

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(starts) for starts in self.token_starts(texts)]

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [
            np.arange(0, len(text), 10)
            if len(text) > self.until
            else np.repeat(np.arange(len(text)), self.tokens_a_character)
            for text in texts
        ]


class WordTokenizer:
    """A word is a token, and each text has `marks` additional tokens. Records its input."""

    name = "words"

    def __init__(self, marks: int = 0) -> None:
        self.marks = marks
        self.calls = 0
        self.characters = 0

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(starts) + self.marks for starts in self.token_starts(texts)]

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        self.calls += 1
        self.characters += sum(map(len, texts))
        return [
            np.fromiter((word.start() for word in re.finditer(r"\S+", text)), dtype=np.int64)
            for text in texts
        ]
