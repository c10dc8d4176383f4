"""Recall@5 by the values of one metadata key: a good mean may hide one department that finds nothing.

The gate does not use it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rag_assets.document_metadata.values import MetadataValue
from rag_assets.evaluation.benchmark import DocumentNames
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.records import DocumentState

NO_VALUE = "(none)"
_MOST_SLICES = 50


@dataclass(frozen=True, slots=True)
class Slice:
    """The questions about documents with one value.

    Attributes:
        recall_at_5: mean over these questions.
        production_recall_at_5: of production on the same questions, or None if it was not measured.
    """

    value: str
    num_queries: int
    recall_at_5: float
    production_recall_at_5: float | None


def recall_by_value(report: EvalReport, documents: Iterable[DocumentState], key: str) -> list[Slice]:
    """Return the slices of a report, the worst first.

    A question belongs to each value of its expected documents, or to `(none)` without one. Of more than 50 values those with
    the fewest questions are left out.

    Args:
        documents: of the candidate.
        key: normalized metadata key.
    """
    documents = [state for state in documents if state.content_hash is not None]
    names = DocumentNames(documents)
    values: dict[str | None, set[str]] = defaultdict(set)
    for state in documents:
        values[state.content_hash].update(_in_words(state.location.metadata.get(key)))
    by_value: dict[str, list[QueryResult]] = defaultdict(list)
    for query in report.counted:
        found = {value for name in query.expected_docs for value in values.get(names.content_of(name), ())}
        for value in found or {NO_VALUE}:
            by_value[value].append(query)
    kept = sorted(by_value, key=lambda value: (-len(by_value[value]), value))[:_MOST_SLICES]
    return sorted(
        (_slice(value, by_value[value]) for value in kept), key=lambda it: (it.recall_at_5, it.value)
    )


def _in_words(value: MetadataValue | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, tuple):
        return value
    return (str(value).lower() if isinstance(value, bool) else str(value),)


def _slice(value: str, queries: list[QueryResult]) -> Slice:
    before = [it.production_recall_at_5 for it in queries if it.production_recall_at_5 is not None]
    return Slice(
        value,
        len(queries),
        math.fsum(query.recall_at_5 for query in queries) / len(queries),
        math.fsum(before) / len(before) if len(before) == len(queries) else None,
    )
