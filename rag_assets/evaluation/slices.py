"""Recall@5 by parts of the benchmark: a good mean may hide one department that finds nothing.

They never block. The verdict names those with a loss.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rag_assets.document_metadata.values import MetadataValue
from rag_assets.evaluation.benchmark import BenchmarkQuery, DocumentNames
from rag_assets.evaluation.comparison import DEFAULT_MAX_REGRESSION, Result, compare
from rag_assets.evaluation.paired_tests import holm
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted

NO_VALUE = "(none)"
_MOST_SLICES = 50
_ALPHA = 0.05
"""Probability of a false loss among all slices together."""
_FEWEST_QUESTIONS = 5


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


@dataclass(frozen=True, slots=True)
class SliceLoss:
    """A part of the benchmark with a loss of Recall@5 against production.

    Attributes:
        name: such as `source=wiki`. Several names of the same questions are joined.
        before, after: means of production and candidate.
    """

    name: str
    num_queries: int
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.before:.3f} → {self.after:.3f} over {counted(self.num_queries, 'question')})"
        )


def slice_losses(report: EvalReport) -> list[SliceLoss]:
    """Return the slices with a loss that chance does not explain, by Holm's correction, the largest loss first.

    The drop must reach the margin of a regression too. A slice has at least five questions, and not all of them.
    """
    margin = float(report.verdict_configuration.get("max_regression", DEFAULT_MAX_REGRESSION)) / 100
    queries = [query for query in report.counted if query.production is not None]
    members: dict[str, list[int]] = defaultdict(list)
    for position, query in enumerate(queries):
        for name in query.slices:
            members[name].append(position)
    names: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, positions in sorted(members.items()):
        if _FEWEST_QUESTIONS <= len(positions) < len(queries):
            names[tuple(positions)].append(name)
    groups = list(names)
    found = [
        compare("production", "fused", "recall_at_5", [_pair(queries[it]) for it in group], _ALPHA, margin)
        for group in groups
    ]
    is_real = holm([one.p_value for one in found], _ALPHA)
    losses = [
        SliceLoss(" ".join(names[group]), len(group), one.before, one.after)
        for group, one, real in zip(groups, found, is_real, strict=True)
        if real and one.result is Result.WORSE
    ]
    return sorted(losses, key=lambda it: (it.after - it.before, it.name))


def _pair(query: QueryResult) -> tuple[float, float]:
    return query.production_recall_at_5 or 0.0, query.recall_at_5


class SliceNames:
    """Names the slices of each question: source, format and folder of its expected documents, and one metadata key.

    Args:
        documents: of the candidate.
        key: normalized metadata key, "" for none.
    """

    def __init__(self, documents: Iterable[DocumentState], key: str = "") -> None:
        documents = [state for state in documents if state.content_hash is not None]
        self._names = DocumentNames(documents)
        self._of_content: dict[str | None, set[str]] = defaultdict(set)
        for state in documents:
            self._of_content[state.content_hash].update(_names_of(state, key))

    def of(self, query: BenchmarkQuery) -> tuple[str, ...]:
        """Return the slices of a question, sorted. None for a question without an existing document."""
        found: set[str] = set()
        for name in query.expected_docs:
            content = self._names.content_of(name)
            found |= self._of_content.get(content, set()) if content is not None else set()
        return tuple(sorted(found | {f"tag={tag}" for tag in getattr(query, "tags", ())}))


def _names_of(state: DocumentState, key: str) -> Iterator[str]:
    location = state.location
    yield f"source={location.source}"
    stem, dot, extension = location.filename.rpartition(".")
    if dot and stem:
        yield f"format={extension.lower()}"
    folder, slash, _ = location.path.partition("/")
    if slash and folder and "://" not in location.path:
        yield f"folder={folder}"
    if key:
        yield from (f"{key}={value}" for value in _in_words(location.metadata.get(key)))


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
