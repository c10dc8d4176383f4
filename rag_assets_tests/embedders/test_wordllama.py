import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.embedders import wordllama as wordllama_module
from rag_assets.embedders.wordllama import WordLlamaEmbedder
from rag_assets.errors import ConfigurationError
from rag_assets.records import EmbeddingModel
from rag_assets.text import tokenizers as tokenizers_module
from rag_assets.text.tokenizers import wordllama_tokenizer
from rag_assets_tests.chunkers.prose import paragraphs

TEXTS = [
    "The travel policy covers hotels.",
    "x",
    " ",
    "日本語のテキスト naïve \U0001f98b",
    "<s>bos</s> # Title\n\n- item",
    paragraphs(400),
    paragraphs(3_000, seed=1),
]


@pytest.fixture(scope="module")
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


@pytest.mark.slow
def test_vectors_are_those_of_wordllama_itself(embedder: WordLlamaEmbedder):
    # In another process: importing wordllama sets up logging.
    script = (
        "import json, pathlib, sys, wordllama\n"
        "folder = pathlib.Path(wordllama.__file__).parent\n"
        "model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)\n"
        "texts = json.load(sys.stdin)\n"
        "json.dump([model.embed([text], norm=True)[0].tolist() for text in texts], sys.stdout)\n"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    reference = np.array(json.loads(done.stdout), dtype=np.float32)
    np.testing.assert_allclose(embedder.embed_documents(TEXTS).vectors, reference, atol=1e-6)


def test_a_vector_does_not_depend_on_the_other_texts(embedder: WordLlamaEmbedder):
    together = embedder.embed_documents(TEXTS).vectors
    backwards = embedder.embed_documents(TEXTS[::-1]).vectors[::-1]
    among_many = embedder.embed_documents(TEXTS * 2).vectors[: len(TEXTS)]
    alone = np.stack([embedder.embed_query(text) for text in TEXTS])
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, among_many)


def test_similar_texts_are_near_one_another(embedder: WordLlamaEmbedder):
    question = embedder.embed_query("How many days of vacation do employees get?")
    near, far = embedder.embed_documents(
        ["Staff receive 25 days of paid annual leave.", "The pump is lubricated with mineral oil."]
    ).vectors
    assert question @ near > question @ far + 0.1


def test_the_model_and_its_price_are_known(embedder: WordLlamaEmbedder):
    assert embedder.model == EmbeddingModel(
        "wordllama", "l2_supercat_256", 256, revision=version("wordllama")
    )
    assert (embedder.batch_size, embedder.usd_per_million_tokens) == (256, 0.0)


def test_the_weights_are_not_read_before_something_is_embedded(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr("safetensors.safe_open", refuse)
    embedder = WordLlamaEmbedder()
    assert embedder.model.dimensions == 256
    with pytest.raises(AssertionError, match="were read"):
        embedder.embed_query("x")


def test_tokens_are_counted_as_the_tokenizer_counts(embedder: WordLlamaEmbedder):
    assert embedder.embed_documents(TEXTS).tokens == sum(wordllama_tokenizer().count(TEXTS))


def test_no_texts_have_no_vectors(embedder: WordLlamaEmbedder):
    batch = embedder.embed_documents([])
    assert batch.vectors.shape == (0, 256)
    assert batch.tokens == 0


@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=40), max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_text_has_a_unit_vector(embedder: WordLlamaEmbedder, texts: list[str]):
    vectors = embedder.embed_documents(texts).vectors
    assert vectors.shape == (len(texts), 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_without_tokens_has_the_vector_of_a_space(embedder: WordLlamaEmbedder):
    space = embedder.embed_query(" ")
    vectors = embedder.embed_documents(["a", "", "b"]).vectors
    np.testing.assert_array_equal(vectors[1], space)
    np.testing.assert_array_equal(vectors[0], embedder.embed_query("a"))


def test_a_text_whose_tokens_cancel_out_has_the_vector_of_a_space():
    embedder = WordLlamaEmbedder()
    space = embedder.embed_query(" ")
    ids = wordllama_tokenizer().token_ids(["zebra"])[0]
    embedder._stored = embedder._stored.copy()
    embedder._stored[ids] = 0
    np.testing.assert_array_equal(embedder.embed_documents(["zebra", "b"]).vectors[0], space)


def test_threads_share_an_embedder(embedder: WordLlamaEmbedder):
    expected = embedder.embed_documents(TEXTS).vectors
    with ThreadPoolExecutor(4) as pool:
        for batch in pool.map(lambda _: embedder.embed_documents(TEXTS), range(16)):
            np.testing.assert_array_equal(batch.vectors, expected)


@pytest.mark.slow
def test_the_hosts_logging_and_network_are_left_alone():
    script = (
        "import logging, socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "root = logging.getLogger()\n"
        "before = (list(root.handlers), root.level)\n"
        "from rag_assets.embedders.wordllama import WordLlamaEmbedder\n"
        "assert WordLlamaEmbedder().embed_query('x').shape == (256,)\n"
        "assert (list(root.handlers), root.level) == before\n"
        "assert 'dagster' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_missing_weights_are_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(wordllama_module, "wordllama_folder", lambda: tmp_path)
    with pytest.raises(ConfigurationError, match="l2_supercat_256"):
        WordLlamaEmbedder()
    monkeypatch.setattr(tokenizers_module, "wordllama_folder", lambda: tmp_path)
    wordllama_tokenizer.cache_clear()
    with pytest.raises(ConfigurationError, match="l2_supercat_tokenizer_config"):
        wordllama_tokenizer()
