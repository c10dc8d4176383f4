import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.embedders.base import Embedder
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.errors import (
    ConfigurationError,
    EmbedderUnavailable,
    GenerationDamaged,
    RefusedError,
    VectorStoreUnavailable,
)
from rag_assets.records import (
    EmbeddingModel,
    GenerationManifest,
    Point,
    ScoredPoint,
    SearchFilter,
    SparseVector,
    Vector,
)
from rag_assets.retrieval import GenerationSearch, Retriever, fuse
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.documents import MODEL, FakeEmbedder, document, place, stage
from rag_assets_tests.in_memory_vector_store import InMemoryReader, InMemoryVectorStore


def hits(**scores: float) -> list[ScoredPoint]:
    return [ScoredPoint(point_id, score, {"of": point_id}) for point_id, score in scores.items()]


def fused(dense: list[ScoredPoint], sparse: list[ScoredPoint], weight: float) -> list[tuple[str, object]]:
    return [(point.id, pytest.approx(point.score)) for point in fuse(dense, sparse, weight)]


# Fusion


def test_fusion_is_the_weighted_sum_of_scaled_scores() -> None:
    dense = hits(a=0.9, b=0.7, c=0.5)  # scaled: 1, 0.5, 0
    sparse = hits(c=12.0, d=10.0, b=2.0)  # scaled: 1, 0.8, 0
    assert fused(dense, sparse, 0.3) == [("c", 0.7), ("d", 0.56), ("a", 0.3), ("b", 0.15)]
    assert fused(dense, sparse, 0.8) == [("a", 0.8), ("b", 0.4), ("c", 0.2), ("d", 0.16)]


def test_dense_or_sparse_alone_keeps_its_order() -> None:
    dense, sparse = hits(a=0.9, b=0.7, c=0.5), hits(c=3.0, b=2.0, a=1.0)
    assert [point.id for point in fuse(dense, sparse, 1)] == ["a", "b", "c"]
    assert [point.id for point in fuse(dense, sparse, 0)] == ["c", "b", "a"]


def test_an_empty_list_leaves_the_other() -> None:
    assert fused(hits(a=3.0, b=1.0), [], 0.3) == [("a", 0.3), ("b", 0.0)]
    assert fused([], hits(a=3.0, b=1.0), 0.3) == [("a", 0.7), ("b", 0.0)]
    assert fuse([], [], 0.3) == []


def test_equal_scores_count_as_the_best_and_are_ordered_by_id() -> None:
    assert fused(hits(c=0.5, a=0.5, b=0.5), [], 0.4) == [("a", 0.4), ("b", 0.4), ("c", 0.4)]
    assert fused(hits(z=0.1), hits(y=5.0), 0.5) == [("y", 0.5), ("z", 0.5)]


def test_a_point_keeps_its_payload() -> None:
    assert [point.payload for point in fuse(hits(a=1.0), hits(b=1.0), 0.3)] == [{"of": "b"}, {"of": "a"}]


scores = st.dictionaries(st.sampled_from("abcdef"), st.floats(-50, 50), max_size=6)


@given(scores, scores, st.floats(0, 1), st.randoms(use_true_random=False))
def test_fusion_does_not_depend_on_the_order_of_the_lists(
    dense: dict[str, float], sparse: dict[str, float], weight: float, shuffled: random.Random
) -> None:
    one, two = hits(**dense), hits(**sparse)
    expected = fuse(one, two, weight)
    shuffled.shuffle(one)
    shuffled.shuffle(two)
    assert fuse(one, two, weight) == expected
    assert {point.id for point in expected} == dense.keys() | sparse.keys()
    assert all(-1e-9 <= point.score <= 1 + 1e-9 for point in expected)


# Searching one generation, and production

TEXTS = {
    "leave.md": "parental leave lasts\n",
    "pay.md": "salary is paid monthly\n",
    "it.md": "reset a password\n",
}


class Store(InMemoryVectorStore):
    """Generations with real BM25 weights."""

    def __init__(self, *generations: str) -> None:
        super().__init__()
        for generation in generations:
            self.add(generation, TEXTS)
        if generations:
            self.state = ProductionState(generations[0])

    def add(self, generation: str, texts: dict[str, str]) -> None:
        stage(self, generation, [document(path, text) for path, text in texts.items()], texts.values())
        bm25 = Bm25Encoder()
        self.points[generation] = {
            point.id: Point(
                point.id, point.payload, point.vector, bm25.encode_document(point.payload["text"])
            )
            for point in self.points[generation].values()
        }


def embedder_of(manifest: GenerationManifest) -> Embedder:
    return FakeEmbedder(recorded_model(manifest))


def test_a_hit_has_its_text_and_locations() -> None:
    store = Store("g1")
    retriever = Retriever(store, embedder_of, 0.0)
    [hit, *_] = retriever.search("How long is parental leave?", 1)
    assert hit.text == TEXTS["leave.md"]
    assert hit.locations == (place("leave.md"),)
    assert (hit.chunk_index, hit.content_hash) == (0, hit.payload["content_hash"])
    assert hit.point_id in store.points["g1"]
    retriever.close()
    assert store.open_readers == []


def test_a_search_returns_at_most_limit_hits() -> None:
    retriever = Retriever(Store("g1"), embedder_of)
    assert [len(retriever.search("password", limit)) for limit in (1, 2, 10)] == [1, 2, 3]


def test_both_lists_are_longer_than_the_limit_and_are_filtered() -> None:
    class Reader(InMemoryReader):
        def search(
            self,
            dense: Vector,
            sparse: SparseVector | None,
            limit: int,
            search_filter: SearchFilter | None = None,
            *,
            with_payload: bool = True,
        ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
            asked.append((limit, search_filter))
            return [], []

    asked: list[tuple[object, ...]] = []
    search = GenerationSearch(Reader(Store("g1"), "g1"), FakeEmbedder(), 0.3)
    only = SearchFilter()
    search.search("question", 5, only)
    search.search("question", 400)
    assert asked == [(100, only), (800, None)]


def test_only_payloads_of_returned_hits_are_read() -> None:
    class Reader(InMemoryReader):
        def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
            looked_up.append(len(point_ids))
            return super().retrieve(point_ids)

    looked_up: list[int] = []
    search = GenerationSearch(Reader(Store("g1"), "g1"), FakeEmbedder(), 0.3)
    assert [hit.text for hit in search.search("password", 1)] == [TEXTS["it.md"]]
    assert looked_up == [1]


def test_a_point_that_disappears_during_the_search_is_an_error() -> None:
    class Reader(InMemoryReader):
        def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
            return super().retrieve(point_ids[1:])

    with pytest.raises(VectorStoreUnavailable, match="points of generation g1 disappeared"):
        GenerationSearch(Reader(Store("g1"), "g1"), FakeEmbedder(), 0.3).search("password", 2)


def test_questions_are_embedded_by_the_model_of_the_generation() -> None:
    models: list[EmbeddingModel] = []

    def recording(manifest: GenerationManifest) -> Embedder:
        models.append(recorded_model(manifest))
        return embedder_of(manifest)

    retriever = Retriever(Store("g1"), recording)
    for _ in range(3):
        retriever.search("password")
    assert models == [MODEL]
    manifest = Store("g1").manifests["g1"]
    assert recorded_model(manifest) == MODEL
    assert asdict(MODEL) == manifest.fingerprint["embedding_model"]


def test_the_next_search_sees_a_promotion() -> None:
    store = Store("g1")
    retriever = Retriever(store, embedder_of, 0.0)
    assert retriever.search("password")[0].text == TEXTS["it.md"]
    store.add("g2", {"new.md": "a password is never reset\n"})
    store.state = ProductionState("g2", previous="g1")
    assert [hit.text for hit in retriever.search("password")] == ["a password is never reset\n"]
    assert [reader.generation for reader in store.open_readers] == ["g2"]


def test_production_is_looked_up_again_if_its_generation_vanished() -> None:
    class Moving(Store):
        """Reports g1 as production once more after its deletion."""

        def production_state(self) -> ProductionState:
            return stale.pop() if stale else super().production_state()

    stale: list[ProductionState] = []
    store = Moving("g1", "g2")
    retriever = Retriever(store, embedder_of)
    retriever.search("password")
    for _ in range(2):  # with the generation open, and with none open
        store.state = ProductionState("g2")
        stale.append(ProductionState("g1"))
        store.vanish("g1")
        assert retriever.search("password")
        retriever.close()


def test_a_broken_reader_is_replaced() -> None:
    store = Store("g1")
    retriever = Retriever(store, embedder_of)
    retriever.search("password")
    [broken] = store.open_readers
    broken.break_down()
    assert retriever.search("password")
    assert broken not in store.open_readers
    assert len(store.open_readers) == 1


# Several threads


class Gate:
    """Stops the first thread until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_by(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.opened.wait(10)


class StoppingReader(InMemoryReader):
    gate: Gate

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        self.gate.pass_by()
        return super().search(dense, sparse, limit, search_filter, with_payload=with_payload)


class StoppingStore(Store):
    """The first search in a generation waits until `gate` is opened."""

    def __init__(self, *generations: str) -> None:
        super().__init__(*generations)
        self.gate = Gate()

    def read(self, generation: str) -> InMemoryReader:
        reader = StoppingReader(self, generation)
        reader.gate = self.gate
        self.open_readers.append(reader)
        return reader


def test_a_search_in_progress_finishes_in_its_generation_after_a_promotion() -> None:
    store = StoppingStore("g1")
    retriever = Retriever(store, embedder_of, 0.0)
    with ThreadPoolExecutor() as threads:
        under_way = threads.submit(retriever.search, "password")
        assert store.gate.reached.wait(10)
        store.add("g2", {"new.md": "a password is never reset\n"})
        store.state = ProductionState("g2", previous="g1")
        assert retriever.search("password")[0].text == "a password is never reset\n"
        assert [reader.generation for reader in store.open_readers] == ["g1", "g2"]
        store.gate.opened.set()
        assert under_way.result()[0].text == TEXTS["it.md"]
    assert [reader.generation for reader in store.open_readers] == ["g2"]


def test_closing_lets_a_search_in_progress_finish() -> None:
    store = StoppingStore("g1")
    retriever = Retriever(store, embedder_of, 0.0)
    with ThreadPoolExecutor() as threads:
        under_way = threads.submit(retriever.search, "password")
        assert store.gate.reached.wait(10)
        retriever.close()
        store.gate.opened.set()
        assert under_way.result()[0].text == TEXTS["it.md"]
    assert store.open_readers == []


def test_a_slow_thread_does_not_switch_back_to_the_old_generation() -> None:
    class LookingSlowly(Store):
        """One thread reads slowly: its state is old by the time it uses it."""

        gate = Gate()
        slow: int | None = None

        def production_state(self) -> ProductionState:
            state = super().production_state()
            if threading.get_ident() == self.slow:
                self.gate.pass_by()
            return state

        def read(self, generation: str) -> InMemoryReader:
            opened.append(generation)
            return super().read(generation)

    opened: list[str] = []
    store = LookingSlowly("g1")
    retriever = Retriever(store, embedder_of, 0.0)

    def search_slowly() -> str:
        store.slow = threading.get_ident()
        return retriever.search("password")[0].text

    retriever.search("password")
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(search_slowly)
        assert store.gate.reached.wait(10)
        store.add("g2", {"new.md": "a password is never reset\n"})
        store.state = ProductionState("g2", previous="g1")
        retriever.search("password")
        store.gate.opened.set()
        assert slow.result() == "a password is never reset\n"
    assert opened == ["g1", "g2"]


def test_simultaneous_threads_open_a_generation_once() -> None:
    class OpeningSlowly(Store):
        def read(self, generation: str) -> InMemoryReader:
            time.sleep(0.05)
            opened.append(generation)
            return super().read(generation)

    opened: list[str] = []
    retriever = Retriever(OpeningSlowly("g1"), embedder_of)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(retriever.search, ["password"] * 16))
    assert opened == ["g1"]


def test_a_generation_keeps_its_embedder_when_it_is_opened_again() -> None:
    """An embedder remembers that its model was verified. The next generation asks again."""
    asked: list[str] = []

    def recording(manifest: GenerationManifest) -> Embedder:
        asked.append(manifest.generation)
        return embedder_of(manifest)

    store = Store("g1", "g2")
    retriever = Retriever(store, recording)
    for _ in range(2):
        retriever.search("password")
        retriever.close()
    assert asked == ["g1"]
    store.state = ProductionState("g2")
    retriever.search("password")
    assert asked == ["g1", "g2"]


def test_leaving_the_block_closes_the_generation_and_an_owned_store() -> None:
    class Closable(Store):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    for owns_store in (False, True):
        store = Closable("g1")
        with Retriever(store, embedder_of, owns_store=owns_store) as retriever:
            retriever.search("password")
            assert (store.open_readers != [], store.closed) == (True, 0)
        assert (store.open_readers, store.closed) == ([], int(owns_store))


def test_a_closed_retriever_opens_again_for_a_search() -> None:
    store = Store("g1")
    retriever = Retriever(store, embedder_of)
    for _ in range(2):
        assert retriever.search("password")
        retriever.close()
        assert store.open_readers == []


def test_five_hits_are_the_default() -> None:
    store = Store()
    store.add("g1", {f"{number}.md": f"password number {number}\n" for number in range(8)})
    store.state = ProductionState("g1")
    retriever = Retriever(store, embedder_of)
    assert len(retriever.search("password")) == 5
    assert len(retriever.open("g1").search("password")) == 5


def test_an_unavailable_store_is_asked_twice() -> None:
    class Away(Store):
        looks = 0

        def production_state(self) -> ProductionState:
            Away.looks += 1
            return super().production_state()

    store = Away("g1")
    store.vanish("g1")
    with pytest.raises(VectorStoreUnavailable, match="g1 was deleted"):
        Retriever(store, embedder_of).search("password")
    assert Away.looks == 2


def test_production_is_looked_up_again_if_it_cannot_be_opened() -> None:
    """A promotion may replace and delete it between reading its manifest and opening it."""

    class Overtaken(Store):
        def read(self, generation: str) -> InMemoryReader:
            if generation == "g1":
                self.state = ProductionState("g2")
                raise GenerationDamaged("generation g1 does not exist")
            return super().read(generation)

    store = Overtaken("g1", "g2")
    assert store.production_state().production == "g1"
    retriever = Retriever(store, embedder_of)
    assert retriever.search("password")


def test_an_unavailable_embedder_is_asked_once() -> None:
    class Down(FakeEmbedder):
        asked = 0

        def embed_query(self, text: str) -> Vector:
            Down.asked += 1
            raise EmbedderUnavailable("down")

    with pytest.raises(EmbedderUnavailable):
        Retriever(Store("g1"), Down).search("password")
    assert Down.asked == 1


def test_an_unavailable_model_leaves_no_reader_open() -> None:
    def refuse(manifest: GenerationManifest) -> Embedder:
        raise ConfigurationError(f"no key for the model of {manifest.generation}")

    store = Store("g1")
    with pytest.raises(ConfigurationError):
        Retriever(store, refuse).search("password")
    assert store.open_readers == []


def test_an_empty_knowledge_base_is_an_error() -> None:
    with pytest.raises(RefusedError, match="nothing is in production yet"):
        Retriever(Store(), embedder_of).search("password")


@pytest.mark.parametrize(("question", "limit"), [("", 5), (" \n", 5), ("password", 0), ("password", -1)])
def test_an_invalid_question_or_limit_is_refused(question: str, limit: int) -> None:
    with pytest.raises(ConfigurationError):
        Retriever(Store("g1"), embedder_of).search(question, limit)
