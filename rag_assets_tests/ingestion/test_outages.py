"""A failed part of a source is reported with a token. An admitted one is no problem."""

from collections.abc import Mapping

from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.source_reports import (
    failed_parts,
    outages_as_details,
    outages_from,
    unreadable_sources,
)
from rag_assets.records import DocumentState, Outage
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader

MISSING = Outage("fake", "hr/", "Permission denied", below="hr/")


def partly_read(read: Reader, approved: frozenset[str] = frozenset()) -> Ingestion:
    source = FakeSource(**{"hr/a_txt": b"one", "b_txt": b"two"})
    documents, _ = read(source)
    del source.files["hr/a.txt"]
    source.failed = [MISSING]
    return read(source, served=by_id(documents), approved_tokens=approved)[1]


def by_id(documents: Mapping[str, DocumentState]) -> dict[str, DocumentState]:
    return {state.document_id: state for state in documents.values()}


def test_a_failed_part_is_reported_with_its_token_and_the_listing_is_complete(read: Reader) -> None:
    ingestion = partly_read(read)
    [report] = ingestion.reports
    [outage] = report.outages
    assert report.complete
    assert unreadable_sources([report]) == {
        "fake": "hr/: Permission denied. 1 document kept. Restore it, or if the loss is intended, run "
        f"`rag-assets approve {outage.token}` and refresh"
    }
    assert failed_parts([report]) == {("fake", "hr/")}
    assert outages_from(outages_as_details([report])) == [outage]


def test_an_admitted_outage_is_no_problem_any_more(read: Reader) -> None:
    [report] = partly_read(read).reports
    [admitted] = partly_read(read, frozenset({report.outages[0].token})).reports
    assert admitted.outages[0].is_admitted
    assert unreadable_sources([admitted]) == {}
    assert failed_parts([admitted]) == set()
