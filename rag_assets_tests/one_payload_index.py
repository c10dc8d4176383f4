"""Small embedded generations, for tests of other things than payload indexes."""

import contextlib
from collections.abc import Iterator

import pytest

from rag_assets.vector_stores.embedded import engine


@contextlib.contextmanager
def one_payload_index() -> Iterator[None]:
    """Create embedded generations with one payload index, in this process and within the block.

    Filters find the same without an index. All fourteen reserve 184 MB, which each opening of a generation touches.
    """
    first, *_ = engine._index_params()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_index_params", lambda: [first])
        yield
