from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets_tests.ingestion.fake_source import Reader


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.ledger.close()
