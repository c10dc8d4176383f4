"""A refresh that was paused, and lost its lease meanwhile, pays for nothing more."""

from typing import Any

import pytest

from rag_assets.records import Readings
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.pipeline import Pipeline


@pytest.mark.parametrize("ended", [False, True], ids=["the other is running", "the other has ended"])
def test_a_refresh_that_lost_its_lease_sends_no_further_request(
    empty: Pipeline, server: FakeOpenAI, ended: bool
) -> None:
    empty.configure(
        OPENAI_API_KEY=API_KEY,
        OPENAI_BASE_URL=server.base_url,
        RAG_EMBEDDING_MODEL="openai:text-embedding-3-small",
        RAG_CHUNK_SIZE="16",
        RAG_CHUNK_OVERLAP="0",
    )
    sent_before_the_pause: list[int] = []

    def other_refresh(request: Any, _: object) -> None:
        """Take the place of a pause: meanwhile another refresh takes the lease."""
        sent_before_the_pause.append(server.texts + len(request.texts))
        with empty.knowledge_base() as knowledge_base:
            ledger = knowledge_base.ledger
            while ledger.acquire_lease("other", "elsewhere", 1, dead=ledger.lease_holder()) is not None:
                pass  # renewed between the two calls
            if ended:
                number = knowledge_base.vector_store.begin_reading()
                store = knowledge_base.vector_store
                assert isinstance(store, EmbeddedVectorStore)
                store.folders.write_readings(Readings(number, {"filesystem": number}))
                knowledge_base.ledger.release_lease("other")

    server.fail_next(lambda *_: None, other_refresh)
    run = empty.refresh()
    assert run.outcomes["embeddings"] == "superseded"
    assert server.texts == sent_before_the_pause[0]
    with empty.knowledge_base() as knowledge_base:
        holder = knowledge_base.ledger.lease_holder()
    assert (holder.owner if holder else None) == (None if ended else "other")
