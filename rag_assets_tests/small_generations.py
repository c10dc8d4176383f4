"""Small embedded generations, for tests of other things than payload indexes."""

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from rag_assets.vector_stores.embedded import engine


@contextlib.contextmanager
def small_generations(num_payload_indexes: int = 1) -> Iterator[None]:
    """Create embedded generations with few payload indexes, in this process and within the block.

    Filters find the same without an index. All fourteen reserve 184 MB, which each opening of a generation touches.
    Vectors are not read ahead either: on a file system in memory, this fills 32 MB of holes for each generation, to be
    copied and hashed from then on.
    """
    import qdrant_edge as edge

    chosen = engine._index_params()[:num_payload_indexes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_index_params", lambda: chosen)
        patch.setattr(edge, "EdgeVectorParams", partial(edge.EdgeVectorParams, memory=edge.Memory.Cold))
        yield
