"""Compares the speed of the embedded vector store with qdrant-client's local mode, both in ordinary use.

    python eval_benchmarks/vector_stores.py

Both get the same points (dense vector, BM25 vector, payload as in a refresh) in the same batches, and the same
questions, and must give the same answers. Prints points written and questions answered per second, and the ratio of the
two, by the clock and by processor time. Other work on the machine disturbs processor time less. Writing ends with
everything durable: the embedded store seals its generation, local mode in a folder commits each point. Then both are
opened again, as by a reader in another process. Local mode in memory keeps nothing. In neither place does it have payload
indexes. The embedded store keeps fourteen.
"""

import argparse
import random
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from qdrant_client import QdrantClient, models

from rag_assets.backports import batched
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.records import GenerationManifest, Point, ScoredPoint, SparseVector, Vector, Vectors
from rag_assets.retrieval import fuse
from rag_assets.vector_stores.base import DENSE, SPARSE
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

LIMIT = 10
BATCH = 256
DENSE_WEIGHT = 0.3
WORDS_A_QUESTION, CHUNKS_A_DOCUMENT = 8, 3


@dataclass(frozen=True, slots=True)
class Question:
    dense: Vector
    sparse: SparseVector


class Side(Protocol):
    """One store, written once, then asked for the ids of its best points.

    Attributes:
        keeps: whether it can be opened again.
    """

    keeps: bool

    def write(self, points: Sequence[Point], dimensions: int) -> None: ...
    def open_again(self) -> None: ...
    def dense(self, question: Question) -> list[str]: ...
    def words(self, question: Question) -> list[str]: ...
    def hybrid(self, question: Question) -> list[str]: ...
    def close(self) -> None: ...


class Embedded:
    """Our store, through its public interface. `rag_assets.retrieval.fuse` joins hybrid answers."""

    keeps = True

    def __init__(self, folder: Path) -> None:
        self._store = EmbeddedVectorStore(folder, "benchmark")

    def write(self, points: Sequence[Point], dimensions: int) -> None:
        manifest = GenerationManifest(
            generation="g1",
            refresh_id="r1",
            base=None,
            fingerprint={},
            digest="",
            points_count=len(points),
            documents_count=1,
            documents_hash="",
            sealed_at="2026-01-01T00:00:00Z",
        )
        with self._store.write("g1", dimensions, None) as writer:
            for batch in batched(points, BATCH):
                writer.upsert(batch)
            writer.seal(manifest)
        self._store.promote("g1", None)

    def open_again(self) -> None:
        self._reader = self._store.read("g1")

    def dense(self, question: Question) -> list[str]:
        return _ids(self._reader.search(question.dense, None, LIMIT)[0])

    def words(self, question: Question) -> list[str]:
        return _ids(self._reader.search(question.dense, question.sparse, LIMIT)[1])

    def hybrid(self, question: Question) -> list[str]:
        lists = self._reader.search(question.dense, question.sparse, LIMIT)
        return _ids(fuse(*lists, DENSE_WEIGHT)[:LIMIT])

    def close(self) -> None:
        self._reader.close()


class LocalMode:
    """qdrant-client's local mode. Its own reciprocal rank fusion joins hybrid answers."""

    def __init__(self, folder: Path | None) -> None:
        self.keeps = folder is not None
        self._folder = folder
        self._client = QdrantClient(path=str(folder)) if folder else QdrantClient(":memory:")

    def write(self, points: Sequence[Point], dimensions: int) -> None:
        self._client.create_collection(
            "benchmark",
            vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        for batch in batched(points, BATCH):
            self._client.upsert("benchmark", [_point_struct(point) for point in batch])

    def open_again(self) -> None:
        self._client.close()
        self._client = QdrantClient(path=str(self._folder))

    def dense(self, question: Question) -> list[str]:
        found = self._client.query_points("benchmark", question.dense.tolist(), using=DENSE, limit=LIMIT)
        return _ids(found.points)

    def words(self, question: Question) -> list[str]:
        found = self._client.query_points("benchmark", _sparse(question.sparse), using=SPARSE, limit=LIMIT)
        return _ids(found.points)

    def hybrid(self, question: Question) -> list[str]:
        found = self._client.query_points(
            "benchmark",
            models.FusionQuery(fusion=models.Fusion.RRF),
            prefetch=[
                models.Prefetch(query=question.dense.tolist(), using=DENSE, limit=LIMIT),
                models.Prefetch(query=_sparse(question.sparse), using=SPARSE, limit=LIMIT),
            ],
            limit=LIMIT,
        )
        return _ids(found.points)

    def close(self) -> None:
        self._client.close()


def _ids(points: Sequence[ScoredPoint] | Sequence[models.ScoredPoint]) -> list[str]:
    return [str(point.id) for point in points]


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _point_struct(point: Point) -> models.PointStruct:
    assert point.vector is not None
    assert point.sparse is not None
    vectors = {DENSE: point.vector.tolist(), SPARSE: _sparse(point.sparse)}
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


# Points and questions


class Texts:
    """Invented texts. A few words are frequent and most are rare, as in a language."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = random.Random(1)
        self._vocabulary = [
            "".join(letters.choices("abcdefghiklmnoprstuvwz", k=letters.randint(4, 9))) for _ in range(20_000)
        ]
        self._weights = [1 / (rank + 10) for rank in range(len(self._vocabulary))]

    def draw(self, num_words: int) -> str:
        return " ".join(self._random.choices(self._vocabulary, self._weights, k=num_words))


def make_points(count: int, dimensions: int) -> list[Point]:
    vectors, texts, encoder = _unit_vectors(count, dimensions, seed=2), Texts(seed=3), Bm25Encoder()
    points: list[Point] = []
    for number in range(count):
        document, index = divmod(number, CHUNKS_A_DOCUMENT)
        text = texts.draw(150 + number % 101)  # of different lengths: otherwise many points score the same
        path = f"folder{document // 100}/document{document}.md"
        location = {
            "document_id": f"filesystem:{path}",
            "source": "filesystem",
            "source_uri": f"file:///documents/{path}",
            "path": path,
            "filename": path.rpartition("/")[2],
            "title": f"Document {document}",
            "modified_at": "2026-01-01T00:00:00Z",
            "access": None,
        }
        payload = {
            "text": text,
            "locations": [location],
            "chunk_index": index,
            "total_chunks": CHUNKS_A_DOCUMENT,
            "start": len(text) * index,
            "end": len(text) * (index + 1),
            "token_count": 300,
            "heading_path": ["Handbook", f"Chapter {number % 9}"],
            "content_hash": f"{document:064x}",
            "embedding_model": "l2_supercat_256",
            "vector_hash": f"{number:064x}",
            "indexed_at": "2026-01-01T00:00:00Z",
            "refresh_id": "20260101T000000-benchmark",
        }
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
        points.append(Point(identity, payload, vectors[number], encoder.encode_document(text)))
    return points


def make_questions(count: int, dimensions: int) -> list[Question]:
    vectors, texts, encoder = _unit_vectors(count, dimensions, seed=4), Texts(seed=5), Bm25Encoder()
    return [Question(vector, encoder.encode_query(texts.draw(WORDS_A_QUESTION))) for vector in vectors]


def _unit_vectors(count: int, dimensions: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# Measurement


@dataclass(frozen=True, slots=True)
class Rate:
    """Units of work per second, by the clock and by processor time."""

    clock: float
    processor: float


@dataclass(frozen=True, slots=True)
class Figures:
    written: Rate
    opened: Rate | None
    dense: Rate
    hybrid: Rate
    dense_answers: list[list[str]]
    words_answers: list[list[str]]

    @property
    def rates(self) -> tuple[Rate | None, ...]:
        return self.written, self.opened, self.dense, self.hybrid


def measure(side: Side, points: Sequence[Point], questions: Sequence[Question]) -> Figures:
    written = _rate(len(points), lambda: side.write(points, len(questions[0].dense)))
    opened = _rate(len(points), side.open_again) if side.keeps else None
    side.hybrid(questions[0])  # the first question loads parts of the store
    dense_answers: list[list[str]] = []
    dense = _rate(len(questions), lambda: dense_answers.extend(map(side.dense, questions)))
    hybrid = _rate(len(questions), lambda: [side.hybrid(question) for question in questions])
    words_answers = [side.words(question) for question in questions]
    side.close()
    return Figures(written, opened, dense, hybrid, dense_answers, words_answers)


def _rate(units: int, work: Callable[[], object]) -> Rate:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Rate(units / (time.perf_counter() - clock), units / (time.process_time() - processor))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--folder", help="folder to write to (default: the temporary folder of the system)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Local mode is not recommended")

    points = make_points(options.points, options.dimensions)
    questions = make_questions(options.questions, options.dimensions)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours = measure(Embedded(Path(folder, "embedded")), points, questions)
        others = {
            "local mode, in a folder": measure(LocalMode(Path(folder, "local")), points, questions),
            "local mode, in memory": measure(LocalMode(None), points, questions),
        }

    print(f"{options.points:,} points of {options.dimensions} dimensions, {options.questions} questions\n")
    print(
        "| by the clock (by processor time) | points written/s | points opened/s | dense questions/s | hybrid questions/s |"
    )
    print("|---|---|---|---|---|")
    for name, figures in {"embedded store": ours, **others}.items():
        cells = (f"{rate.clock:,.0f} ({rate.processor:,.0f})" if rate else "" for rate in figures.rates)
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        "\n| embedded store against | written | opened | dense | hybrid | same dense hits | same BM25 hits |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, figures in others.items():
        ratios = (
            f"{our.clock / their.clock:.1f} × ({our.processor / their.processor:.1f} ×)"
            if our and their
            else ""
            for our, their in zip(ours.rates, figures.rates, strict=True)
        )
        same = (
            f"{sum(map(list.__eq__, one, other))} of {len(questions)}"
            for one, other in (
                (ours.dense_answers, figures.dense_answers),
                (ours.words_answers, figures.words_answers),
            )
        )
        print(f"| {name} | {' | '.join((*ratios, *same))} |")


if __name__ == "__main__":
    main()
