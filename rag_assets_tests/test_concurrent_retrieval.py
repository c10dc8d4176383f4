"""Threads of an application share one retriever during promotions and deletions."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rag_assets.retrieval import Retriever
from rag_assets.vector_stores.base import VectorStore
from rag_assets_tests.documents import document, embedder_of, stage
from rag_assets_tests.vector_stores.conftest import ALL_INDEXES, open_backend

NUM_GENERATIONS = 4
NUM_DOCUMENTS = 6
NUM_THREADS = 4


# Not in memory: several threads at once are more than that client promises.
@pytest.fixture(params=[kind for kind in ALL_INDEXES if kind != "in_memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    with open_backend(request.param, tmp_path) as backend:
        yield backend.open()


def stage_generation(store: VectorStore, number: int) -> None:
    texts = {f"{name}.md": f"generation {number} document {name}\n" for name in range(NUM_DOCUMENTS)}
    documents = [document(path, text) for path, text in texts.items()]
    stage(store, f"g{number}", documents, texts.values())


def promote(store: VectorStore, number: int) -> None:
    """Promote, and delete the generation before the previous one, as retention does."""
    store.promote(f"g{number}", store.production_state().production)
    if number > 1:
        store.discard(f"g{number - 2}")


@pytest.mark.slow
def test_every_answer_is_complete_and_not_older_than_its_question(store: VectorStore) -> None:
    for number in range(NUM_GENERATIONS):
        stage_generation(store, number)
    promote(store, 0)
    newest, finished = 0, threading.Event()
    retriever = Retriever(store, embedder_of, 0.5)
    answered = threading.Semaphore(0)

    def ask() -> None:
        while not finished.wait(0.001):
            serving = newest
            hits = retriever.search("which generation is this", NUM_DOCUMENTS)
            generations = {int(hit.text.split()[1]) for hit in hits}
            assert len(hits) == NUM_DOCUMENTS
            assert len(generations) == 1
            assert min(generations) >= serving
            answered.release()

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        asking = [threads.submit(ask) for _ in range(NUM_THREADS)]
        try:
            for number in range(1, NUM_GENERATIONS):
                for _ in range(5 * NUM_THREADS):
                    assert answered.acquire(timeout=60)
                promote(store, number)
                newest = number
        finally:
            finished.set()
        for thread in asking:
            thread.result()
    assert retriever.search("which generation is this", 1)[0].text.split()[1] == str(NUM_GENERATIONS - 1)
    retriever.close()
