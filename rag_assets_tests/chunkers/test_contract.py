"""The contract of `Chunker`, for every chunker in the registry."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.chunkers.registry import CHUNKERS, build_chunker
from rag_assets.errors import ConfigurationError
from rag_assets.text.tokenizers import Tokenizer, wordllama_tokenizer
from rag_assets_tests.chunkers.contract import (
    LIKELY_TEXT,
    SIZES,
    TEXTS,
    CharacterTokenizer,
    WordTokenizer,
    assert_contract,
)
from rag_assets_tests.chunkers.prose import paragraphs

pytestmark = pytest.mark.parametrize("name", CHUNKERS)

RECORDED_CUTS = {
    ("token_window", "1"): "42a30671cf2a399b",
    ("section", "1"): "693abb7ebfce6fda",
}


@pytest.mark.slow
@given(text=TEXTS, sizes=SIZES)
@settings(max_examples=300, deadline=None)
def test_any_text_is_cut_as_the_contract_says(
    name: str, tokenizer: Tokenizer, text: str, sizes: tuple[int, int]
):
    spans = build_chunker(name, tokenizer, *sizes).chunk([text])[0]
    assert_contract(tokenizer, text, spans, *sizes)


@given(texts=st.lists(LIKELY_TEXT, min_size=1, max_size=4), sizes=SIZES)
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_depend_on_the_other_texts(
    name: str, tokenizer: Tokenizer, texts: list[str], sizes: tuple[int, int]
):
    chunker = build_chunker(name, tokenizer, *sizes)
    together = chunker.chunk(texts)
    assert together == [chunker.chunk([text])[0] for text in texts]
    assert together == chunker.chunk(texts)


@pytest.mark.slow
@given(
    length=st.integers(0, 600),
    unit=st.sampled_from(["ab cd.\n\n", "ab cd.\n\n"[:5], "a", "# A\nb cd.\n", "# A\n## B\nb\n### C\n"]),
    until=st.integers(0, 500),
    tokens_a_character=st.sampled_from([1, 2, 40]),
    sizes=SIZES,
)
@settings(max_examples=300, deadline=None)
def test_a_tokenizer_that_misleads_cannot_break_the_contract(
    name: str, length: int, unit: str, until: int, tokens_a_character: int, sizes: tuple[int, int]
):
    tokenizer = CharacterTokenizer(until, tokens_a_character)
    text = (unit * length)[:length]
    spans = build_chunker(name, tokenizer, *sizes).chunk([text])[0]
    assert_contract(tokenizer, text, spans, *sizes)


def test_an_empty_text_has_no_chunks_and_a_short_one_has_one(name: str, tokenizer: Tokenizer):
    chunker = build_chunker(name, tokenizer, 64, 8)
    assert chunker.chunk([]) == []
    empty, short = chunker.chunk(["", "# Title\n\nShort."])
    assert empty == []
    assert [(span.start, span.end, span.heading_path) for span in short] == [(0, 15, ("Title",))]


def test_chunks_of_a_version_do_not_change(name: str):
    """Points are kept as long as the version is the same: another cut needs another version."""
    sections = [f"{'#' * (1 + n % 3)} Part {n}\n\n{paragraphs(30 + n * 37 % 300, seed=n)}" for n in range(40)]
    chunker = build_chunker(name, wordllama_tokenizer(), 128, 16)
    (spans,) = chunker.chunk(["\n\n".join(sections)])
    cuts = hashlib.sha256(repr([(span.start, span.end) for span in spans]).encode()).hexdigest()[:16]
    assert cuts == RECORDED_CUTS[name, chunker.version]


def test_chunks_carry_the_headings_above_their_start(name: str, tokenizer: Tokenizer):
    text = "# Handbook\n\n" + "\n\n".join(f"## Part {n}\n\n{paragraphs(150, seed=n)}" for n in range(6))
    spans = build_chunker(name, tokenizer, 128, 0).chunk([text])[0]
    assert spans[0].heading_path == ("Handbook",)
    assert {span.heading_path for span in spans[1:]} >= {("Handbook", f"Part {n}") for n in range(1, 6)}
    for span in spans:
        if text[span.start :].startswith("## Part"):
            assert span.heading_path[-1] == text[span.start + 3 : text.index("\n", span.start)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    ["x", "日本語のテキストは空白を持たない", ".", " ", "Ab3+/", "\n", "# A\n", "# A\n## B\nb c. d\n\n", "# \n", "# A\n" + "b. " * 900],
)  # fmt: skip
def test_a_long_text_is_cut_to_its_end(name: str, tokenizer: Tokenizer, unit: str):
    """With time out of proportion to the length, this would run into the time limit of a test."""
    text = (unit * 300_000)[:300_000]
    assert build_chunker(name, tokenizer, 512, 50).chunk([text])[0][-1].end == len(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        paragraphs(60_000),
        "".join(f"## Part {n}\n\n{paragraphs(40, seed=n)}\n\n" for n in range(1_000)),
        "".join(f"{'#' * (1 + n % 6)} Heading {n}\n" for n in range(100_000)),
        "# A\n" * 20_000 + paragraphs(20_000),
    ],
    ids=["prose", "sections", "headings", "headings and one long section"],
)
def test_many_headings_do_not_add_tokenizer_calls(name: str, text: str):
    tokenizer = WordTokenizer()
    spans = build_chunker(name, tokenizer, 128, 16).chunk([text])[0]
    assert len(spans) > 100
    assert tokenizer.characters < 3 * len(text)
    assert tokenizer.calls < 5 + len(spans) / 16


def test_few_calls_of_the_tokenizer_serve_many_texts(name: str):
    tokenizer = WordTokenizer()
    texts = [f"{paragraphs(400, seed=n)}\n\n## Part\n\n{paragraphs(400, seed=-n)}" for n in range(50)]
    chunks = build_chunker(name, tokenizer, 128, 20).chunk(texts)
    assert sum(map(len, chunks)) > 350
    assert tokenizer.calls < 15


def test_the_registry_builds_by_name_and_names_the_wrong_setting(name: str):
    tokenizer = wordllama_tokenizer()
    chunker = build_chunker(name, tokenizer, 512, 50)
    assert chunker.name == name
    assert chunker.version
    build_chunker(name, tokenizer, 16, 8)
    for unfit, size, overlap, setting in [
        ("sentences", 512, 50, "RAG_CHUNKER"),
        (name, 15, 0, "RAG_CHUNK_SIZE"),
        (name, 512, -1, "RAG_CHUNK_OVERLAP"),
        (name, 512, 257, "RAG_CHUNK_OVERLAP"),
    ]:
        with pytest.raises(ConfigurationError, match=setting):
            build_chunker(unfit, tokenizer, size, overlap)
