import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.errors import ConfigurationError, EmbedderUnavailable
from rag_assets.records import EmbeddingModel
from rag_assets.text import tokenizers as tokenizers_module
from rag_assets.text.tokenizers import (
    BLOCK_CHARACTERS,
    HuggingFaceTokenizer,
    TiktokenTokenizer,
    Tokenizer,
    build_tokenizer,
    wordllama_tokenizer,
)
from rag_assets_tests.chunkers.prose import paragraphs

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=120)
OPENAI = EmbeddingModel("openai", "text-embedding-3-small", 1536)
LOCAL = EmbeddingModel("wordllama", "l2_supercat_256", 256)


@given(texts=st.lists(ANY_TEXT, max_size=5))
@settings(max_examples=150, deadline=None)
def test_starts_ascend_inside_the_text_one_per_token(tokenizer: Tokenizer, texts: list[str]):
    counts, starts = tokenizer.count(texts), tokenizer.token_starts(texts)
    assert counts == [len(of_text) for of_text in starts]
    for text, of_text in zip(texts, starts, strict=True):
        assert of_text.dtype == np.int64
        assert (np.diff(of_text) >= 0).all()
        if text:
            assert of_text[0] == 0
            assert of_text[-1] < len(text)


@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_result_does_not_depend_on_the_other_texts(tokenizer: Tokenizer, texts: list[str]):
    together = tokenizer.token_starts(texts)
    for text, of_text in zip(texts, together, strict=True):
        np.testing.assert_array_equal(of_text, tokenizer.token_starts([text])[0])


@given(text=st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_tiktoken_starts_are_where_its_own_decoder_puts_them(
    tiktoken_tokenizer: TiktokenTokenizer, text: str
):
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base")
    tokens = encoding.encode_ordinary(text)
    expected: list[int] = []
    byte = 0
    boundaries = np.cumsum([0] + [len(character.encode()) for character in text])
    for token in tokens:
        expected.append(int(np.searchsorted(boundaries, byte, side="right")) - 1)
        byte += len(encoding.decode_single_token_bytes(token))
    assert tiktoken_tokenizer.token_starts([text])[0].tolist() == expected


def test_tokens_of_one_character_share_its_offset(tiktoken_tokenizer: TiktokenTokenizer):
    for tokenizer in (tiktoken_tokenizer, wordllama_tokenizer()):
        starts = tokenizer.token_starts(["a\U0001f98b\U0001f98bb"])[0].tolist()
        assert set(starts) == {0, 1, 2, 3}
        assert len(starts) > 4


def test_offsets_out_of_order_are_put_in_order():
    class Encoding:
        offsets = ((0, 1), (2, 3), (1, 2), (3, 4))

        def __len__(self) -> int:
            return len(self.offsets)

    class Library:
        def encode_batch(self, texts: list[str], add_special_tokens: bool) -> list[Encoding]:
            return [Encoding() for _ in texts]

    tokenizer = HuggingFaceTokenizer("fake", Path("nowhere"))
    tokenizer.__dict__["_tokenizer"] = Library()
    assert tokenizer.token_starts(["abcd"])[0].tolist() == [0, 2, 2, 3]


def test_special_tokens_in_a_text_are_ordinary_text(tiktoken_tokenizer: TiktokenTokenizer):
    assert tiktoken_tokenizer.count(["<|endoftext|>", "<|fim_prefix|>x"])[0] > 3
    assert wordllama_tokenizer().count([""]) == [0]


def test_wordllama_counts_as_wordllama_does():
    from tokenizers import Tokenizer as HuggingFace

    tokenizer = wordllama_tokenizer()
    reference = HuggingFace.from_file(str(tokenizer.path))
    texts = ["hello world", " two  spaces ", "日本語 text", "naïve\n\n# Title", "<s>bos</s>"]
    encodings = [reference.encode(text, add_special_tokens=False) for text in texts]
    assert tokenizer.count(texts) == [len(encoding) for encoding in encodings]
    assert [ids.tolist() for ids in tokenizer.token_ids(texts)] == [encoding.ids for encoding in encodings]
    assert [starts.tolist() for starts in tokenizer.token_starts(texts)] == [
        [start for start, _ in encoding.offsets] for encoding in encodings
    ]


def test_blocks_of_a_long_text_have_the_tokens_of_the_whole(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
):
    text = paragraphs(12_000)
    assert len(text) > 4 * BLOCK_CHARACTERS
    in_blocks, counted = tokenizer.token_starts([text])[0], tokenizer.count([text])[0]
    monkeypatch.setattr(tokenizers_module, "BLOCK_CHARACTERS", 10**9)
    whole = tokenizer.token_starts([text])[0]
    np.testing.assert_array_equal(in_blocks, whole)
    assert counted == len(whole)


@pytest.mark.parametrize("unit", ["x", "日本語", "\U0001f98b", "a ", "  ", "\n", "é\u0301"])
def test_blocks_of_a_text_without_word_gaps_lose_nothing(tokenizer: Tokenizer, unit: str):
    text = (unit * (3 * BLOCK_CHARACTERS))[: 2 * BLOCK_CHARACTERS + 77]
    starts = tokenizer.token_starts(["before", text, "after"])[1]
    assert (np.diff(starts) >= 0).all()
    assert starts[0] == 0
    assert starts[-1] < len(text)
    assert tokenizer.count([text]) == [len(starts)]
    # At most one additional token per block, for the marker of wordllama's tokenizer.
    pieces = [text[i : i + 1024] for i in range(0, len(text), 1024)]
    assert len(starts) <= sum(tokenizer.count(pieces))


def test_blocks_end_between_words():
    cuts = tokenizers_module._block_cuts(paragraphs(12_000))
    assert len(cuts) > 4
    assert all(0 < after - before <= BLOCK_CHARACTERS for before, after in pairwise(cuts))
    lines = "\n".join(["x" * 99] * 1000)
    assert all(lines[cut - 1] == "\n" for cut in tokenizers_module._block_cuts(lines)[1:])


@pytest.mark.parametrize(
    ("model", "override", "name"),
    [
        (OPENAI, "", "tiktoken:cl100k_base"),
        (EmbeddingModel("openai", "text-embedding-ada-002", 1536), "", "tiktoken:cl100k_base"),
        (EmbeddingModel("openai", "nomic-embed-text:v1.5", 768, "http://h/v1"), "", "tiktoken:cl100k_base"),
        (LOCAL, "", "wordllama:l2_supercat"),
        (LOCAL, "cl100k_base", "tiktoken:cl100k_base"),
        (LOCAL, "o200k_base", "tiktoken:o200k_base"),
        (OPENAI, "wordllama", "wordllama:l2_supercat"),
        (EmbeddingModel("another", "m", 8), "wordllama", "wordllama:l2_supercat"),
    ],
)
def test_the_tokenizer_follows_the_model_unless_it_is_overridden(
    model: EmbeddingModel, override: str, name: str
):
    assert build_tokenizer(model, override).name == name


def test_an_unknown_override_or_provider_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match=r"RAG_TOKENIZER is 'gpt2'; it can be cl100k_base"):
        build_tokenizer(OPENAI, "gpt2")
    with pytest.raises(ConfigurationError, match="RAG_TOKENIZER"):
        build_tokenizer(EmbeddingModel("another", "m", 8))


def test_the_error_for_a_missing_vocabulary_names_the_ways_out(monkeypatch: pytest.MonkeyPatch):
    import tiktoken

    def unreachable(name: str) -> None:
        raise ConnectionError("https://user:secret@proxy")

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(EmbedderUnavailable, match="TIKTOKEN_CACHE_DIR") as caught:
        TiktokenTokenizer("o200k_base").count(["x"])
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="no encoding named nonsense"):
        TiktokenTokenizer("nonsense").count(["x"])


@pytest.mark.slow
def test_the_wordllama_tokenizer_needs_neither_wordllama_nor_logging():
    script = (
        "import logging, sys\n"
        "from rag_assets.text.tokenizers import wordllama_tokenizer\n"
        "assert wordllama_tokenizer().count(['hello world']) == [2]\n"
        "assert 'wordllama' not in sys.modules and 'dagster' not in sys.modules\n"
        "assert logging.getLogger().handlers == []\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.slow
def test_heavy_libraries_are_not_imported_with_the_modules():
    script = (
        "import sys\n"
        "import rag_assets.chunkers.registry, rag_assets.text.tokenizers, rag_assets.embedders.registry\n"
        "import rag_assets.embedders.openai, rag_assets.embedders.wordllama, rag_assets.embedders.bm25\n"
        "import rag_assets.embedders.cache_key\n"
        "heavy = {'wordllama', 'tokenizers', 'tiktoken', 'openai', 'qdrant_edge', 'httpx', 'safetensors',\n"
        "         'dagster'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_missing_wordllama_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenizers_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install wordllama"):
        tokenizers_module.wordllama_folder()


def test_token_ids_of_a_long_text_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    tokenizer = wordllama_tokenizer()
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    text = paragraphs(6_000)
    in_blocks = tokenizer.token_ids([text])[0]
    monkeypatch.setattr(tokenizers_module, "BLOCK_CHARACTERS", 10**9)
    np.testing.assert_array_equal(in_blocks, tokenizer.token_ids([text])[0])
