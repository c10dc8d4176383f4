"""Expected documents deleted on purpose. Their questions are set apart and count for no generation.

Without that decision a missing expected document counts as a miss. The records in the vector store have hashes of the names, and
the names themselves are only in the benchmark.
"""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from rag_assets.evaluation.benchmark import Benchmark, DocumentNames
from rag_assets.text.hashing import text_sha256
from rag_assets.vector_stores.base import VectorStore


def accepted_names(
    store: VectorStore, benchmark: Benchmark, names: DocumentNames, approved: Collection[str] = ()
) -> frozenset[str]:
    """Return the missing expected documents with an accepted deletion.

    A document that came back counts again.

    Args:
        names: documents of the candidate.
        approved: ids of documents deleted in this refresh with an approval.

    Raises:
        BenchmarkError: a name is ambiguous.
    """
    accepted = store.records("accepted").keys()
    spellings = {spelling for one in approved for spelling in _spellings(one)}
    return frozenset(
        name for name in missing_names(benchmark, names) if name in spellings or text_sha256(name) in accepted
    )


def missing_names(benchmark: Benchmark, names: DocumentNames) -> list[str]:
    """Return the missing expected documents, sorted.

    Raises:
        BenchmarkError: a name is ambiguous.
    """
    expected = {name for query in benchmark.queries for name in query.expected_docs}
    return sorted(name for name in expected if names.content_of(name) is None)


def accept(store: VectorStore, names: Iterable[str], by: str = "an approval") -> None:
    """Accept the deletion of expected documents, durably. An earlier acceptance stays as it is."""
    record = json.dumps({"by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")})
    wanted = {text_sha256(name) for name in names}
    records = dict.fromkeys(wanted - store.records("accepted").keys(), record) if wanted else {}
    if records:
        store.put_records("accepted", records)


def _spellings(document_id: str) -> tuple[str, str, str]:
    """Return the names of a document in a benchmark: id, path and filename."""
    path = document_id.partition(":")[2]
    return document_id, path, path.rpartition("/")[2]
