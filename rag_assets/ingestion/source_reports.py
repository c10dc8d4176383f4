"""Reports about a reading of the sources: counts, incomplete listings, files left out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import SourceUnavailable, StateFormatError


@dataclass(slots=True)
class SourceReport:
    """Report about one source in one refresh.

    Attributes:
        problem: reason for an incomplete listing, or "" for a complete one.
        num_read: number of documents read, because of a new version token.
        num_parsed: number of documents without an earlier parse of the same bytes.
        left_out: unset variable of a model -> number of files in need of it.
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
    """Raise SourceUnavailable if all listings are empty and at least one is incomplete."""
    reports = list(reports)
    problems = unreadable_sources(reports)
    if problems and not any(report.num_listed for report in reports):
        raise SourceUnavailable(
            f"no source could be read, production is unchanged: {'; '.join(problems.values())}"
        )


def files_left_out(reports: Iterable[SourceReport]) -> dict[str, int]:
    """Return unset variable of a model -> number of files in need of it."""
    return dict(sum((report.left_out for report in reports), Counter[str]()))


def unreadable_sources(reports: Iterable[SourceReport]) -> dict[str, str]:
    """Return source -> problem, for incomplete listings."""
    return {report.source: report.problem for report in reports if not report.complete}


def last_problems(artifacts: ArtifactStore) -> dict[str, str]:
    """Return source -> problem, for incomplete listings of the last refresh."""
    try:
        read = artifacts.latest("raw_documents")
    except StateFormatError:
        return {}  # from another version, or corrupt: this refresh replaces it
    return dict(read.details["unreadable_sources"]) if read is not None else {}


def without_name(source: str, problem: str) -> str:
    """Return a problem without its prefix `source NAME: `."""
    return problem.removeprefix(f"source {source}: ")
