"""A folder of more than 10 documents, or a source, that goes to nothing: its documents stay until a token admits it."""

from collections.abc import Mapping

from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets.records import DocumentState, Outage
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader
from rag_assets_tests.kept_workers import kept_workers


def filled(name: str, *folders: str, per_folder: int = 11) -> FakeSource:
    source = FakeSource(name)
    for folder in folders:
        for number in range(per_folder):
            source.put(f"{folder}{number:02}.txt", f"{name} {folder} {number}".encode())
    return source


def served_from(read: Reader, *sources: FakeSource) -> dict[str, DocumentState]:
    ingestion = Ingestion(sources, read.ledger, read.texts, kept_workers)
    return {state.document_id: state for state in ingestion.documents()}


def remove_below(source: FakeSource, folder: str) -> dict[str, bytes]:
    gone = {path: data for path, data in source.files.items() if path.startswith(folder)}
    for path in gone:
        del source.files[path]
    return gone


def outages_of(
    read: Reader,
    *sources: FakeSource,
    served: Mapping[str, DocumentState],
    approved: frozenset[str] = frozenset(),
) -> list[Outage]:
    _, ingestion = read(*sources, served=served, approved_tokens=approved)
    assert all(report.complete for report in ingestion.reports)
    return [outage for report in ingestion.reports for outage in report.outages]


def test_a_folder_gone_to_nothing_is_an_outage_of_its_documents(read: Reader) -> None:
    source = filled("fake", "hr/old/", "hr/new/")
    served = served_from(read, source)
    remove_below(source, "hr/old/")
    [outage] = outages_of(read, source, served=served)
    assert (outage.source, outage.place, outage.below, outage.num_kept) == ("fake", "hr/old/", "hr/old/", 11)
    assert outage.problem == "none of 11 documents is left"
    [admitted] = outages_of(read, source, served=served, approved=frozenset({outage.token}))
    assert admitted.is_admitted


def test_the_topmost_folder_without_a_document_is_named(read: Reader) -> None:
    source = filled("fake", "hr/old/", "hr/new/", "it/")
    served = served_from(read, source)
    remove_below(source, "hr/")
    [outage] = outages_of(read, source, served=served)
    assert (outage.place, outage.num_kept) == ("hr/", 22)


def test_a_source_gone_to_nothing_is_an_outage_even_if_it_is_small(read: Reader) -> None:
    one, two = filled("one", "", per_folder=2), filled("two", "")
    served = served_from(read, one, two)
    one.files.clear()
    [outage] = outages_of(read, one, two, served=served)
    assert (outage.source, outage.place, outage.below, outage.num_kept) == ("one", "the whole source", "", 2)


def test_folders_of_ten_and_folders_with_a_document_may_go(read: Reader) -> None:
    source = filled("fake", "ten/", per_folder=10)
    source.put("more.txt", b"more")
    for path, data in filled("fake", "eleven/").files.items():
        source.put(path, data)
    served = served_from(read, source)
    remove_below(source, "ten/")
    remove_below(source, "eleven/")
    source.put("eleven/another.txt", b"another")
    assert outages_of(read, source, served=served) == []


def test_contents_that_reappear_elsewhere_are_moves(read: Reader) -> None:
    one, two = filled("one", "hr/", "it/"), filled("two", "")
    served = served_from(read, one, two)
    moved = remove_below(one, "hr/")
    for path, data in moved.items():
        two.put(f"archive/{path}", data)
    assert outages_of(read, one, two, served=served) == []


def test_the_documents_that_moved_are_not_kept_with_the_others(read: Reader) -> None:
    source = filled("fake", "hr/", "it/", per_folder=20)
    served = served_from(read, source)
    gone = remove_below(source, "hr/")
    for path in list(gone)[:5]:
        source.put(f"it/{path}", gone[path])
    [outage] = outages_of(read, source, served=served)
    assert (outage.place, outage.below, outage.num_kept) == ("hr/", None, 15)
    assert outage.paths == set(list(gone)[5:])


def test_copies_made_earlier_are_no_moves(read: Reader) -> None:
    one, two = filled("one", ""), FakeSource("two")
    for path, data in one.files.items():
        two.put(path, data)
    served = served_from(read, one, two)
    one.files.clear()
    assert [outage.num_kept for outage in outages_of(read, one, two, served=served)] == [11]


def test_a_part_known_to_have_failed_is_no_second_outage(read: Reader) -> None:
    source = filled("fake", "hr/", "it/")
    served = served_from(read, source)
    remove_below(source, "hr/")
    source.failed = [Outage("fake", "hr/", "Permission denied", below="hr/")]
    [outage] = outages_of(read, source, served=served)
    assert outage.problem == "Permission denied"
    [admitted] = outages_of(read, source, served=served, approved=frozenset({outage.token}))
    assert admitted.is_admitted


def test_an_incomplete_source_has_no_vanished_folder(read: Reader) -> None:
    source = filled("fake", "hr/", "it/")
    served = served_from(read, source)
    remove_below(source, "hr/")
    source.fails_after = 5
    _, ingestion = read(source, served=served)
    assert list(unreadable_sources(ingestion.reports).values()) == ["source fake: the listing broke off"]
