"""Texts and documents for the tests of generations."""

from typing import Any

from rag_assets.fingerprint import point_id
from rag_assets.vector_stores.base import VectorStore
from rag_assets_tests.documents import FINGERPRINT_HASH, corpus, hashed

TEXTS = ["alpha one\nalpha two\n", "beta\n", "gamma one\nbeta\ngamma three\n", "delta\nalpha one\n"]
DOCUMENTS = corpus({"a": TEXTS[0], "b": TEXTS[1]})
FIRST_POINT = point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 0)
SECOND_POINT = point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 1)


class store_reader:  # noqa: N801 - reads as a function
    """Closes the reader at the end of the block."""

    def __init__(self, store: VectorStore, generation: str) -> None:
        self._reader = store.read(generation)

    def __enter__(self) -> Any:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()
