import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.chunkers import CHUNKERS, build_chunker
from rag_assets.chunkers.base import Tokenizer
from rag_assets.chunkers.headings import heading_path_at, headings
from rag_assets.chunkers.token_window import _SENTENCE_END, TokenWindowChunker
from rag_assets.chunkers.tokenizers import wordllama_tokenizer
from rag_assets.errors import ConfigurationError
from rag_assets.records import ChunkSpan
from rag_assets.text_normalization import normalize_text
from rag_assets_tests.chunkers.prose import paragraphs

PIECES = [
    "word ", "internationalization ", "end. ", "Stop!\n", "\n\n", "# Heading\n", "\n## Second\n\n", "。", "日本語",
    "「はい。」", "なに？", "\U0001f98b", "👩‍👩‍👧", "e\u0301\u0301", "    ", "\t", "3.14 ", "=====", "........", "\ufdfa", "<s>",
    "<|endoftext|>", "\x1f", "\ud800", "กรุงเทพ", "한국어 ", "x", "0123456789abcdef", "```\n", "\u00a0", "\u3000",
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


@given(text=TEXTS, sizes=SIZES)
@settings(max_examples=300, deadline=None)
def test_any_text_is_cut_as_the_contract_says(tokenizer: Tokenizer, text: str, sizes: tuple[int, int]):
    size, overlap = sizes
    spans = TokenWindowChunker(tokenizer, size, overlap).chunk([text])[0]
    assert_contract(tokenizer, text, spans, size, overlap)


@given(texts=st.lists(LIKELY_TEXT, min_size=1, max_size=4), sizes=SIZES)
@settings(max_examples=60, deadline=None)
def test_a_text_is_cut_the_same_with_any_neighbours(
    tokenizer: Tokenizer, texts: list[str], sizes: tuple[int, int]
):
    chunker = TokenWindowChunker(tokenizer, *sizes)
    together = chunker.chunk(texts)
    assert together == [chunker.chunk([text])[0] for text in texts]
    assert together == chunker.chunk(texts)


class CharacterTokenizer:
    """Hostile: a slice has many more tokens than the text it comes from.

    In texts longer than `until` a token is ten characters; in shorter ones a character is a token, or two.
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


@given(
    length=st.integers(0, 600),
    until=st.integers(0, 500),
    tokens_a_character=st.sampled_from([1, 2, 40]),
    sizes=SIZES,
)
@settings(max_examples=300, deadline=None)
def test_a_tokenizer_that_misleads_cannot_break_the_contract(
    length: int, until: int, tokens_a_character: int, sizes: tuple[int, int]
):
    tokenizer = CharacterTokenizer(until, tokens_a_character)
    text = "ab cd.\n\n"[: 1 + length % 8] * (length // 4)
    spans = TokenWindowChunker(tokenizer, *sizes).chunk([text])[0]
    assert_contract(tokenizer, text, spans, *sizes)


def test_windows_stay_large_when_a_text_has_many_more_tokens_than_planned():
    tokenizer = CharacterTokenizer(until=500)
    text = "x" * 600
    for overlap in (0, 16):
        spans = TokenWindowChunker(tokenizer, 32, overlap).chunk([text])[0]
        assert_contract(tokenizer, text, spans, 32, overlap)
        assert len(spans) < 2 * 600 / 16


def test_a_run_of_dots_is_not_scanned_once_from_each_dot():
    began = time.process_time()
    assert _SENTENCE_END.search("." * 30_000) is None
    assert _SENTENCE_END.search("?" + '"' * 30_000) is None
    assert time.process_time() - began < 0.2


def test_an_empty_text_has_no_chunks_and_a_short_one_has_one(tokenizer: Tokenizer):
    chunker = TokenWindowChunker(tokenizer, 64, 8)
    assert chunker.chunk([]) == []
    empty, short = chunker.chunk(["", "# Title\n\nShort."])
    assert empty == []
    assert [(span.start, span.end, span.heading_path) for span in short] == [(0, 15, ("Title",))]


@pytest.mark.parametrize(("size", "overlap"), [(512, 50), (128, 32), (256, 0)])
def test_prose_overlaps_by_what_was_asked_and_fills_its_windows(
    tokenizer: Tokenizer, size: int, overlap: int
):
    text = normalize_text(paragraphs(8_000))
    spans = TokenWindowChunker(tokenizer, size, overlap).chunk([text])[0]
    assert_contract(tokenizer, text, spans, size, overlap)
    shared = tokenizer.count([text[after.start : before.end] for before, after in pairwise(spans)])
    assert all(overlap - 15 <= tokens <= overlap for tokens in shared)
    assert all(span.token_count >= size * 0.7 for span in spans[:-1])


def test_prose_is_cut_after_paragraphs_and_begins_at_words(tokenizer: Tokenizer):
    text = paragraphs(6_000, sentences=3)
    spans = TokenWindowChunker(tokenizer, 512, 50).chunk([text])[0]
    assert all(text[: span.end].endswith("\n\n") for span in spans[:-1])
    assert all(text[span.start - 1].isspace() and not text[span.start].isspace() for span in spans[1:])


def only_break(tokenizer: Tokenizer, text: str, size: int = 64) -> tuple[str, str]:
    """Return the text before and behind the end of the first chunk."""
    first = TokenWindowChunker(tokenizer, size, 0).chunk([text])[0][0]
    return text[: first.end], text[first.end :]


def test_the_end_prefers_headings_then_paragraphs_sentences_lines_and_words(tokenizer: Tokenizer):
    # All of them within the last quarter of 64 tokens: the filling is about 52.
    filling = "word " * 51
    for wanted, rest in [
        ("heading", "word\n# H\nend. word\n\nword"),
        ("paragraph", "x\n\ny. z\nw "),
        ("sentence", "x. y\nz w "),
        ("line", "x\ny w "),
    ]:
        text = filling + rest + " word" * 60
        before, after = only_break(tokenizer, text)
        expected = {"heading": "# H", "paragraph": "y. z", "sentence": "y\nz", "line": "y w"}[wanted]
        assert after.startswith(expected), (wanted, before[-20:], after[:20])
    before, after = only_break(tokenizer, "word " * 200)
    assert before.endswith("word ")
    assert after.startswith("word")


def test_a_pause_before_the_last_quarter_is_not_used(tokenizer: Tokenizer):
    before, _ = only_break(tokenizer, "word " * 30 + "\n\n# H\n\n" + "word " * 200)
    assert before.endswith("word ")
    assert tokenizer.count([before])[0] > 60


def test_japanese_and_chinese_sentences_are_kept_whole(tokenizer: Tokenizer):
    japanese = "契約の更新は満了日の前に通知します。「本当ですか？」と聞かれました！"
    chinese = "员工每年享有十天带薪年假。请在离职前一个月提交申请。"
    for unit in (japanese, chinese):
        text = unit * 40
        spans = TokenWindowChunker(tokenizer, 160, 20).chunk([text])[0]
        assert_contract(tokenizer, text, spans, 160, 20)
        assert all(text[span.end - 1] in "。！」" for span in spans)
        shared = tokenizer.count([text[after.start : before.end] for before, after in pairwise(spans)])
        assert min(shared) >= 12


def test_chunks_carry_the_headings_above_their_start(tokenizer: Tokenizer):
    text = "# Handbook\n\n" + "\n\n".join(f"## Part {n}\n\n{paragraphs(150, seed=n)}" for n in range(6))
    spans = TokenWindowChunker(tokenizer, 128, 0).chunk([text])[0]
    assert spans[0].heading_path == ("Handbook",)
    assert {span.heading_path for span in spans[1:]} >= {("Handbook", f"Part {n}") for n in range(1, 6)}
    for span in spans:
        if text[span.start :].startswith("## Part"):
            assert span.heading_path[-1] == text[span.start + 3 : text.index("\n", span.start)]


@pytest.mark.parametrize("unit", ["x", "日本語のテキストは空白を持たない", ".", " ", "Ab3+/", "\n"])
def test_time_grows_with_the_length_of_a_text_without_words(tokenizer: Tokenizer, unit: str):
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        began = time.process_time()
        spans = TokenWindowChunker(tokenizer, 512, 50).chunk([text])[0]
        took = time.process_time() - began
        assert spans[-1].end == length
        return took

    seconds(1_000)
    short = min(seconds(40_000) for _ in range(2))
    assert seconds(400_000) < 40 * max(short, 0.02)


def test_few_calls_of_the_tokenizer_serve_many_texts():
    class Counting:
        name = "counting"
        calls = 0

        def count(self, texts: Sequence[str]) -> list[int]:
            self.calls += 1
            return wordllama_tokenizer().count(texts)

        def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
            self.calls += 1
            return wordllama_tokenizer().token_starts(texts)

    tokenizer = Counting()
    chunks = TokenWindowChunker(tokenizer, 128, 20).chunk([paragraphs(800, seed=n) for n in range(50)])
    assert sum(map(len, chunks)) > 500
    assert tokenizer.calls < 15


def test_the_registry_builds_by_name_and_names_the_setting_that_is_wrong():
    tokenizer = wordllama_tokenizer()
    chunker = build_chunker("token_window", tokenizer, 512, 50)
    assert (chunker.name, chunker.version) == ("token_window", "1")
    assert set(CHUNKERS) == {"token_window"}
    build_chunker("token_window", tokenizer, 16, 8)
    for name, size, overlap, setting in [
        ("sentences", 512, 50, "RAG_CHUNKER"),
        ("token_window", 15, 0, "RAG_CHUNK_SIZE"),
        ("token_window", 512, -1, "RAG_CHUNK_OVERLAP"),
        ("token_window", 512, 257, "RAG_CHUNK_OVERLAP"),
    ]:
        with pytest.raises(ConfigurationError, match=setting):
            build_chunker(name, tokenizer, size, overlap)
