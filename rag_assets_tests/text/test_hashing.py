import hashlib

from hypothesis import given
from hypothesis import strategies as st

from rag_assets.text.hashing import text_sha256


@given(st.text(st.characters(codec="utf-8")))
def test_the_hash_is_sha256_of_utf8(text: str) -> None:
    assert text_sha256(text) == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_the_hash_does_not_change_between_versions() -> None:
    assert text_sha256("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


def test_texts_of_any_characters_have_hashes() -> None:
    texts = ["", "\ud800", "?", "\ufffd", "\x00", "\U0001f98b"]
    assert len({text_sha256(text) for text in texts}) == len(texts)
