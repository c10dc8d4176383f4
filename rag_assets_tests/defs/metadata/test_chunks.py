from collections import Counter

import pytest

from rag_assets.defs.metadata.chunks import chunk_size_breakdown
from rag_assets.defs.metadata.tables import bar
from rag_assets_tests.defs.metadata.table_rows import rows


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, "1 to 64"), (64, "1 to 64"), (65, "65 to 128"), (512, "449 to 512")]
)
def test_each_chunk_is_counted_in_its_size_class(tokens: int, expected: str) -> None:
    assert rows(chunk_size_breakdown(Counter({tokens: 2}), 512)) == [
        {"tokens": expected, "count": 2, "share": bar(1)}
    ]


def test_size_classes_are_in_order_and_include_all_chunks() -> None:
    found = rows(chunk_size_breakdown(Counter({500: 1, 20: 1, 30: 1, 70: 1}), 512))
    assert [(row["tokens"], row["count"]) for row in found] == [
        ("1 to 64", 2),
        ("65 to 128", 1),
        ("449 to 512", 1),
    ]
