"""Reports about a reading of the sources: counts, incomplete listings, files left out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import SourceUnavailable, StateFormatError
from rag_assets.records import Outage
from rag_assets.text.wording import counted

_MOST_ENDINGS = 10


@dataclass(slots=True)
class SourceReport:
    """Report about one source in one refresh.

    Attributes:
        problem: reason for an incomplete listing, or "" for a complete one.
        is_lasting: whether the problem stays until a person acts.
        outages: failed parts of a complete listing, also admitted ones.
        num_read: number of documents read, because of a new version token.
        num_parsed: number of documents without an earlier parse of the same bytes.
        num_purged: number of listed documents that were purged, and are not read.
        gone: paths of listed documents that were gone when they were read.
        unsettled: ids of documents that did not hold still while they were read.
        skipped_files: ending -> number of files that no parser takes, or that are left out by a pattern.
        left_out: unset variable of a model -> number of files in need of it.
        metadata_left_out: metadata cut or left out, such as `personal: author` -> number of documents.
    """

    source: str
    problem: str = ""
    is_lasting: bool = False
    num_listed: int = 0
    num_read: int = 0
    num_parsed: int = 0
    num_quarantined: int = 0
    num_purged: int = 0
    skipped_files: Mapping[str, int] = field(default_factory=dict[str, int])
    left_out: Counter[str] = field(default_factory=Counter[str])
    metadata_left_out: Counter[str] = field(default_factory=Counter[str])
    outages: list[Outage] = field(default_factory=list[Outage])
    gone: list[str] = field(default_factory=list[str])
    unsettled: list[str] = field(default_factory=list[str])

    @property
    def complete(self) -> bool:
        return not self.problem

    @property
    def problems(self) -> str:
        """Everything that could not be read, "" for nothing."""
        return "; ".join(filter(None, (self.problem, *map(outage_text, self.open_outages))))

    @property
    def open_outages(self) -> list[Outage]:
        """The outages without the admitted ones."""
        return [outage for outage in self.outages if not outage.is_admitted]


def require_a_readable_source(reports: Iterable[SourceReport]) -> None:
    """Raise SourceUnavailable if all listings are empty and one is incomplete, or a failed part keeps no document."""
    reports = list(reports)
    failed = [
        report
        for report in reports
        if report.problem or any(not outage.num_kept for outage in report.open_outages)
    ]
    if failed and not any(report.num_listed or report.num_purged for report in reports):
        raise SourceUnavailable(
            f"no source could be read, production is unchanged: {'; '.join(one.problems for one in failed)}",
            lasting=all(report.is_lasting for report in failed),
        )


def files_left_out(reports: Iterable[SourceReport]) -> dict[str, int]:
    """Return unset variable of a model -> number of files in need of it."""
    return dict(sum((report.left_out for report in reports), Counter[str]()))


def skipped_files(reports: Iterable[SourceReport]) -> dict[str, dict[str, int]]:
    """Return source -> ending -> number of files left out, the most frequent endings first."""
    return {report.source: _most_frequent(report.skipped_files) for report in reports if report.skipped_files}


def unsettled_documents(reports: Iterable[SourceReport]) -> list[str]:
    """Return the ids of the documents that are still being written."""
    return [document_id for report in reports for document_id in report.unsettled]


def skipped_text(endings: Mapping[str, int]) -> str:
    """Return for example `12 files left out: 9 .adoc, 3 .key`."""
    parts = ", ".join(f"{count:,} {ending}" for ending, count in endings.items())
    return f"{counted(sum(endings.values()), 'file')} left out: {parts}"


def metadata_left_out(reports: Iterable[SourceReport]) -> dict[str, dict[str, int]]:
    """Return source -> metadata cut or left out -> number of documents, the most frequent first."""
    return {
        report.source: _most_frequent(report.metadata_left_out)
        for report in reports
        if report.metadata_left_out
    }


def metadata_left_out_text(entries: Mapping[str, int]) -> str:
    """Return for example `metadata cut or left out: personal: author (12 documents)`."""
    parts = ", ".join(f"{entry} ({counted(count, 'document')})" for entry, count in entries.items())
    return f"metadata cut or left out: {parts}"


def _most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent entries, and the sum of the others as `(more)`."""
    kept = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    found = dict(kept[:_MOST_ENDINGS])
    if rest := sum(count for _, count in kept[_MOST_ENDINGS:]):
        found["(more)"] = rest
    return found


def unreadable_sources(reports: Iterable[SourceReport]) -> dict[str, str]:
    """Return source -> problem, for sources not read in full."""
    return {report.source: report.problems for report in reports if report.problems}


def failed_parts(reports: Iterable[SourceReport]) -> set[tuple[str, str]]:
    """Return source and place of everything that could not be read. The place of a whole source is ""."""
    found: set[tuple[str, str]] = set()
    for report in reports:
        found |= {(report.source, outage.place) for outage in report.open_outages}
        if report.problem:
            found.add((report.source, ""))
    return found


def last_failed_parts(artifacts: ArtifactStore) -> set[tuple[str, str]]:
    """Return `failed_parts` of the last refresh."""
    try:
        read = artifacts.latest("raw_documents")
    except StateFormatError:
        return set()  # from another version, or corrupt: this refresh replaces it
    if read is None:
        return set()
    complete = set(read.details["complete_sources"])
    outages = outages_from(read.details.get("outages", ()))
    return {(outage.source, outage.place) for outage in outages if not outage.is_admitted} | {
        (source, "") for source in read.details["unreadable_sources"] if source not in complete
    }


def outages_as_details(reports: Iterable[SourceReport]) -> list[dict[str, Any]]:
    """Return all outages as JSON-compatible data."""
    return [
        {**asdict(outage), "paths": sorted(outage.paths)} for report in reports for outage in report.outages
    ]


def outages_from(details: Iterable[Mapping[str, Any]]) -> list[Outage]:
    """Read outages from the result of `outages_as_details`."""
    outages: list[Outage] = []
    for stored in details:
        values: dict[str, Any] = {**stored, "paths": frozenset(stored["paths"])}
        outages.append(Outage(**values))
    return outages


def outage_text(outage: Outage) -> str:
    """Return an outage for a person, with the next step."""
    text = f"{outage.place}: {outage.problem}"
    if not outage.token:
        return f"{text}. Restore it"
    restore, effect = ("Restore them", "change") if outage.withholds else ("Restore it", "loss")
    return (
        f"{text}. {counted(outage.num_kept, 'document')} kept. {restore}, or if the {effect} is intended, run "
        f"`rag-assets approve {outage.token}` and refresh"
    )


def without_name(source: str, problem: str) -> str:
    """Return a problem without its beginning `source NAME: ` or `source NAME `."""
    return problem.removeprefix(f"source {source}").lstrip(": ")
