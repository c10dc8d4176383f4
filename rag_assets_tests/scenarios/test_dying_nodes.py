"""Fifty refreshes on a cluster of three nodes with two copies, with nodes that die, and readers on all of them.

QDRANT_TEST_EXECUTABLE=... pytest -s -m soak rag_assets_tests/scenarios/test_dying_nodes.py
"""

import contextlib
import itertools
import os
import random
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from rag_assets.embedders.base import Embedder
from rag_assets.retrieval import Retriever
from rag_assets.vector_stores.server.client import connect
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.pipeline import Pipeline, Run, question_about, text_about
from rag_assets_tests.qdrant_nodes import EXECUTABLE, Node, Nodes, running_nodes

NUM_REFRESHES = 50
NUM_DEATHS = 10
_SEED = int(os.environ.get("SEED", "12"))

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not EXECUTABLE, reason="QDRANT_TEST_EXECUTABLE is not set"),
]

NODE_AWAY = (
    "closed the connection",
    "did not answer",
    "refuses connections",
    "a node that is away",
    "Waiting for consensus",
)
"""Right words for a refresh that talks to a node while it dies, or while the leader of the consensus is replaced."""


@dataclass
class Reader:
    """Searches on one node all the time. An error counts only if this node served from before the search to its end."""

    node: Node
    retriever: Retriever
    num_searches: int = 0
    problems: list[str] = field(default_factory=list[str])

    def run(self, finished: threading.Event) -> None:
        while not finished.wait(0.05):
            starts = self.node.num_starts
            was_serving = self.node.is_serving
            try:
                hits = self.retriever.search(question_about(7), limit=5)
            except Exception as error:
                time.sleep(0.2)  # until a node that is being killed counts as away
                if was_serving and self.node.is_serving and self.node.num_starts == starts:
                    self.problems.append(f"{self.node.url}: {type(error).__name__}: {error}")
                continue
            self.num_searches += 1
            if not hits or hits[0].locations[0].document_id != "filesystem:topic07.md":
                self.problems.append(
                    f"{self.node.url}: found {[hit.locations[0].document_id for hit in hits]}"
                )


@contextlib.contextmanager
def readers(nodes: Nodes, collection: str, embedder: Embedder) -> Iterator[list[Reader]]:
    opened: list[Reader] = []
    for node in nodes.nodes:
        store = ServerVectorStore(connect(node.url, None), collection)
        opened.append(Reader(node, Retriever(store, lambda _: embedder)))
    finished = threading.Event()
    threads = [threading.Thread(target=reader.run, args=(finished,)) for reader in opened]
    for thread in threads:
        thread.start()
    try:
        yield opened
    finally:
        finished.set()
        for thread in threads:
            thread.join()
        for reader in opened:
            reader.retriever.close()


class Deaths:
    """Kills one node after the other at random moments, each after the last one is whole again."""

    def __init__(self, nodes: Nodes, collection: str, source: random.Random) -> None:
        self._nodes, self._collection, self._source = nodes, collection, source
        self.count = 0
        self.problem = ""

    def run(self, finished: threading.Event) -> None:
        try:
            self._run(finished)
        except BaseException as error:
            self.problem = f"{type(error).__name__}: {error}"
            for node in self._nodes.nodes:
                if not node.is_running:
                    node.start()

    def _run(self, finished: threading.Event) -> None:
        while self.count < NUM_DEATHS and not finished.wait(self._source.uniform(1, 12)):
            node = self._source.choice(self._nodes.nodes)
            node.kill()
            time.sleep(self._source.uniform(0.5, 8))
            node.start()
            self._nodes.wait_until_complete()
            self._nodes.wait_until_whole(self._collection)
            self.count += 1


def test_fifty_refreshes_with_ten_dead_nodes(empty: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.defs.asset_step._RETRY_SECONDS", 5)  # as for users
    source = random.Random(_SEED)
    nodes = running_nodes(3)
    collection = f"dying-{secrets.token_hex(4)}"
    empty.configure(RAG_COLLECTION=collection, RAG_QDRANT_REPLICAS="2")
    turns = itertools.cycle(nodes.nodes)

    def refresh() -> Run:
        empty.configure(QDRANT_URL=next(node.url for node in turns if node.is_serving))
        return empty.refresh()

    refresh().checked()
    finished = threading.Event()
    deaths = Deaths(nodes, collection, source)
    killer = threading.Thread(target=deaths.run, args=(finished,))
    failures: list[str] = []
    done = 1
    with (
        empty.knowledge_base() as knowledge_base,
        readers(nodes, collection, knowledge_base.embedder) as reading,
    ):
        killer.start()
        try:
            while done < NUM_REFRESHES or killer.is_alive():
                empty.write(f"new{done % 7}.md", text_about((done, "new")))
                run = refresh()
                done += 1
                if not run.success:
                    failures.append(run.message)
                if done == NUM_REFRESHES // 2:
                    empty.configure(QDRANT_URL=next(node.url for node in turns if node.is_serving))
                    empty.command("rollback")
                    empty.command("resume")
        finally:
            finished.set()
            killer.join()
    nodes.wait_until_whole(collection)
    refresh().checked()
    print(
        f"{done} refreshes, {len(failures)} ended with an error; {deaths.count} deaths; "
        f"searches on each node: {[reader.num_searches for reader in reading]}; seed {_SEED}"
    )
    for message in failures:
        print(f"  {message}")
    assert [problem for reader in reading for problem in reader.problems] == []
    assert [message for message in failures if not any(words in message for words in NODE_AWAY)] == []
    assert empty.problems_of_production() == ()
    assert (deaths.count, deaths.problem) == (NUM_DEATHS, "")
