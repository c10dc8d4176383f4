"""The sources as listed now, with their failed parts, for reports that read no document."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rag_assets.changes.outages import examined
from rag_assets.errors import StateFormatError
from rag_assets.ingestion.listings import list_sources
from rag_assets.ingestion.outage_search import OutageSearch
from rag_assets.ingestion.source_reports import SourceReport, outages_from
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, Outage, SourceEntry
from rag_assets.sources.base import Source


@dataclass(frozen=True, slots=True)
class ListedSource:
    """One source.

    Attributes:
        entries: all listed ones, also of an incomplete listing.
        report: about the listing. Its outages are those of now, and unbelievable answers to the last refresh.
    """

    source: Source
    entries: list[SourceEntry]
    report: SourceReport


def list_with_outages(
    knowledge_base: KnowledgeBase, served: Mapping[str, DocumentState]
) -> list[ListedSource]:
    """List all sources, each with a time limit.

    Args:
        served: the documents in production by id.
    """
    approved = knowledge_base.approved_tokens()
    search = OutageSearch(
        lambda: served, knowledge_base.text_store, approved, knowledge_base.known_mounts(), is_quiet=True
    )
    sources = knowledge_base.sources()
    found = [
        ListedSource(source, listing.entries, SourceReport(source.name, listing.problem))
        for source, listing in zip(sources, list_sources(sources), strict=True)
    ]
    for one in found:
        search.find_in_listing(one.source, one.report, one.entries)
    unbelievable = _unbelievable(knowledge_base)
    for one in found:
        search.find_vanished_parts(one.report)
        listed = {entry.document_id for entry in one.entries}
        for outage in unbelievable:
            now = examined(outage, served, listed, approved) if outage.source == one.source.name else None
            if now is not None and now.num_kept:
                one.report.outages.append(now)
    return found


def _unbelievable(knowledge_base: KnowledgeBase) -> list[Outage]:
    """Return the outages that only reading can find, from the last refresh."""
    try:
        read = knowledge_base.artifacts.latest("raw_documents")
    except StateFormatError:
        return []
    outages = outages_from(read.details.get("outages", ())) if read else []
    return [
        replace(outage, problem=f"{outage.problem}, in the last refresh")
        for outage in outages
        if outage.withholds and not outage.is_admitted
    ]
