"""Chunks counted in classes of their size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.generations.chunk_sizes import ChunkSizes


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, "1 to 64"),
        (1, "1 to 64"),
        (64, "1 to 64"),
        (65, "65 to 128"),
        (512, "449 to 512"),
        (513, "513 to 576"),
    ],
)
def test_each_chunk_is_counted_in_its_size_class(tokens: int, expected: str) -> None:
    sizes = ChunkSizes(512)
    sizes.add([tokens, tokens])
    assert sizes.by_class() == {expected: 2}


def test_classes_are_in_order_without_empty_ones() -> None:
    sizes = ChunkSizes(512)
    sizes.add([500, 20, 30, 70])
    sizes.remove([70])
    assert list(sizes.by_class().items()) == [("1 to 64", 2), ("449 to 512", 1)]


@given(st.lists(st.integers(0, 600)), st.integers(1, 512))
def test_sizes_are_read_back_as_stored(tokens: list[int], chunk_size: int) -> None:
    sizes = ChunkSizes(chunk_size)
    sizes.add(tokens)
    found = ChunkSizes.from_text(sizes.to_text(), chunk_size)
    assert found is not None
    assert found.by_class() == sizes.by_class()
    assert sum(sizes.by_class().values()) == len(tokens)


@pytest.mark.parametrize(
    "stored", ["", "x", "[]", '{"a": 1}', '{"1": "2"}', '{"1": -2}', '{"-1": 2}', '{"1": true}']
)
def test_what_cannot_be_read_is_unknown(stored: str) -> None:
    assert ChunkSizes.from_text(stored, 512) is None
