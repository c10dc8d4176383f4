"""What a reading of the sources came to, source by source, and how an incomplete listing is reported."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import SourceUnavailable, StateFormatError


@dataclass(slots=True)
class SourceReport:
    """What one source gave in one refresh.

    Attributes:
        problem: why its listing is not complete, or "" if it is.
        num_read: documents whose bytes were read, because their version token moved.
        num_parsed: documents whose bytes no parse was known of.
        left_out: variable that names a model -> files that only that could read; it is not set.
    """

    source: str
    problem: str = ""
    num_listed: int = 0
    num_read: int = 0
    num_parsed: int = 0
    num_quarantined: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])

    @property
    def complete(self) -> bool:
        return not self.problem


def require_a_readable_source(reports: Iterable[SourceReport]) -> None:
    """Raises: SourceUnavailable: nothing at all could be listed, because of problems."""
    reports = list(reports)
    problems = unreadable_sources(reports)
    if problems and not any(report.num_listed for report in reports):
        raise SourceUnavailable(
            f"no source could be read, nothing was changed: {'; '.join(problems.values())}"
        )


def files_left_out(reports: Iterable[SourceReport]) -> dict[str, int]:
    """Return variable that names no model -> files that only that could read."""
    return dict(sum((report.left_out for report in reports), Counter[str]()))


def unreadable_sources(reports: Iterable[SourceReport]) -> dict[str, str]:
    """Return source -> problem of those whose listing is not complete."""
    return {report.source: report.problem for report in reports if not report.complete}


def last_problems(artifacts: ArtifactStore) -> dict[str, str]:
    """Return source -> problem of those that the last refresh could not read."""
    try:
        read = artifacts.latest("raw_documents")
    except StateFormatError:
        return {}  # of another version, or damaged; this refresh replaces it
    return dict(read.details["unreadable_sources"]) if read is not None else {}


def without_name(source: str, problem: str) -> str:
    return problem.removeprefix(f"source {source}: ")
