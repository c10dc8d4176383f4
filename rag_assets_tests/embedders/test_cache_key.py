from dataclasses import fields, replace

from rag_assets.embedders.cache_key import cache_key
from rag_assets.records import EmbeddingModel

MODEL = EmbeddingModel("openai", "m", 8, "http://h/v1", "r1", "query: ", "passage: ")


def test_every_part_with_influence_on_the_vector_changes_the_key():
    keys = {cache_key(MODEL, "text")}
    for field in fields(EmbeddingModel):
        value = getattr(MODEL, field.name)
        other = replace(MODEL, **{field.name: value + 1 if isinstance(value, int) else value + "x"})
        if field.name == "query_prefix":
            assert cache_key(other, "text") in keys
        else:
            keys.add(cache_key(other, "text"))
    keys.add(cache_key(MODEL, "text "))
    assert len(keys) == len(fields(EmbeddingModel)) + 1
    assert all(len(key) == 32 for key in keys)


def test_adjacent_parts_are_kept_apart():
    assert cache_key(replace(MODEL, document_prefix="a"), "bc") != cache_key(
        replace(MODEL, document_prefix="ab"), "c"
    )
    assert cache_key(replace(MODEL, model="a", revision="b"), "x") != cache_key(
        replace(MODEL, model="ab", revision=""), "x"
    )
    assert cache_key(MODEL, '","provider":"wordllama') != cache_key(replace(MODEL, provider="wordllama"), "")


def test_keys_do_not_change_between_versions():
    """Keys are stored: after a change, every vector would be paid for again."""
    assert cache_key(MODEL, "é\n").hex() == "76f021d176fb44fffdbd03d87cc9c628dbda95a4bc95431d5ec29bd5314556aa"


def test_texts_of_any_characters_have_keys():
    texts = ["", "\ud800", "?", "\ufffd", "\x00", "\U0001f98b"]
    assert len({cache_key(MODEL, text) for text in texts}) == len(texts)
