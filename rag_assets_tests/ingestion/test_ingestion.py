import gzip
from datetime import UTC, datetime

import pytest

from rag_assets.errors import DocumentGone
from rag_assets.ingestion import ingestion as ingestion_module
from rag_assets.ingestion import reading
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets.parsers.markdown import MarkdownParser
from rag_assets.sources import base
from rag_assets.sources.base import Reading
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader


def counts(ingestion: Ingestion) -> tuple[int, int, int, int]:
    [report] = ingestion.reports
    return report.num_listed, report.num_read, report.num_parsed, report.num_quarantined


def test_documents_have_a_location_and_the_hash_of_their_text(read: Reader) -> None:
    source = FakeSource(a_md=b"# Leave\n\nTwenty days.\r\n", b_txt=b"plain")
    documents, ingestion = read(source)
    location = documents["a.md"].location
    assert (location.document_id, location.source, location.source_uri) == (
        "fake:a.md",
        "fake",
        "fake:///a.md",
    )
    assert (location.filename, location.title, location.modified_at) == (
        "a.md",
        "Leave",
        "2026-01-01T00:00:00Z",
    )
    assert read.texts.get(str(documents["a.md"].content_hash)) == "# Leave\n\nTwenty days."
    assert counts(ingestion) == (2, 2, 2, 0)
    assert unreadable_sources(ingestion.reports) == {}


def test_an_unchanged_document_is_not_read(read: Reader) -> None:
    source = FakeSource(a_md=b"one", b_txt=b"two", empty_txt=b"")
    first, _ = read(source)
    second, ingestion = read(source)
    assert second == first
    assert source.read_paths == []
    assert counts(ingestion) == (3, 0, 0, 1)


def test_a_touched_document_is_read_but_not_parsed(read: Reader) -> None:
    source = FakeSource(a_md=b"one")
    first, _ = read(source)
    source.put("a.md", b"one")
    second, ingestion = read(source)
    assert second == first
    assert counts(ingestion) == (1, 1, 0, 0)
    assert counts(read(source)[1]) == (1, 0, 0, 0)


def test_a_moved_document_is_read_but_not_parsed(read: Reader) -> None:
    source = FakeSource(a_md=b"# One")
    first, _ = read(source)
    source.put("hr/b.md", source.files.pop("a.md"))
    second, ingestion = read(source)
    assert second["hr/b.md"].content_hash == first["a.md"].content_hash
    assert second["hr/b.md"].location.title == "One"
    assert counts(ingestion) == (1, 1, 0, 0)


def test_copies_are_parsed_once_even_in_the_first_reading(read: Reader) -> None:
    source = FakeSource(a_md=b"same", b_md=b"same", c_txt=b"same")
    documents, ingestion = read(source)
    # The text file is another parser's.
    assert counts(ingestion) == (3, 3, 2, 0)
    assert len({state.content_hash for state in documents.values()}) == 1


def test_an_edited_document_is_parsed_again(read: Reader) -> None:
    source = FakeSource(a_md=b"one", b_md=b"two")
    first, _ = read(source)
    source.put("a.md", b"one, edited")
    second, ingestion = read(source)
    assert second["a.md"].content_hash != first["a.md"].content_hash
    assert second["b.md"] == first["b.md"]
    assert source.read_paths == ["a.md"]
    assert counts(ingestion) == (2, 1, 1, 0)


@pytest.mark.slow
def test_a_new_parser_version_parses_only_its_documents_again(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource(a_md=b"one", b_txt=b"two")
    first, _ = read(source)
    monkeypatch.setattr(MarkdownParser, "version", "next")
    second, ingestion = read(source)
    assert second == first
    assert source.read_paths == ["a.md"]
    assert counts(ingestion) == (2, 1, 1, 0)


def test_a_lost_text_is_parsed_again(read: Reader) -> None:
    source = FakeSource(a_md=b"one")
    first, _ = read(source)
    content = str(first["a.md"].content_hash)
    (read.texts.root / content[:2] / content).unlink()
    second, ingestion = read(source)
    assert second == first
    assert read.texts.get(content) == "one"
    assert counts(ingestion) == (1, 1, 1, 0)


@pytest.mark.slow
def test_after_a_flush_of_the_ledger_documents_are_read_again(read: Reader) -> None:
    source = FakeSource(a_md=b"one", b_txt=b"two")
    first, _ = read(source)
    read.flush_ledger()
    second, ingestion = read(source)
    assert second == first
    assert counts(ingestion) == (2, 2, 2, 0)


def test_one_bad_document_affects_only_itself(read: Reader) -> None:
    source = FakeSource(a_md=b"good", torn_pdf=b"%PDF-1.7 torn", empty_txt=b"")
    documents, ingestion = read(source)
    assert documents["a.md"].content_hash
    assert (documents["torn.pdf"].content_hash, documents["torn.pdf"].quarantine_reason) == (None, "corrupt")
    assert (documents["empty.txt"].content_hash, documents["empty.txt"].quarantine_reason) == (None, "empty")
    assert documents["empty.txt"].quarantine_detail
    assert counts(ingestion) == (3, 3, 3, 2)


def test_a_quarantined_document_is_tried_again_when_it_changes(read: Reader) -> None:
    source = FakeSource(a_txt=b"")
    read(source)
    source.put("a.txt", b"text")
    documents, _ = read(source)
    assert documents["a.txt"].content_hash
    assert documents["a.txt"].quarantine_reason == ""


def test_a_quarantined_document_is_tried_again_when_its_parser_changes(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource(a_md=b"")
    read(source)
    monkeypatch.setattr(MarkdownParser, "version", "next")
    assert counts(read(source)[1]) == (1, 1, 1, 1)


def test_an_unreadable_document_is_tried_again_each_time(read: Reader) -> None:
    source = FakeSource(a_txt=b"text")
    source.unreadable.add("a.txt")
    for _ in range(2):
        documents, ingestion = read(source)
        assert documents["a.txt"].quarantine_reason == "unreadable"
        assert counts(ingestion) == (1, 1, 0, 1)
    source.unreadable.clear()
    assert read(source)[0]["a.txt"].content_hash


def test_an_interrupted_listing_is_incomplete_and_the_other_sources_go_on(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion_module, "_BATCH", 1)
    broken, sound = FakeSource("broken", a_md=b"1", b_md=b"2"), FakeSource("sound", c_md=b"3")
    broken.fails_after = 1
    documents, ingestion = read(broken, sound)
    assert set(documents) == {"a.md", "c.md"}
    assert [report.complete for report in ingestion.reports] == [False, True]
    assert unreadable_sources(ingestion.reports) == {"broken": "source broken: the listing broke off"}


def test_a_source_that_disappears_during_reading_is_incomplete(read: Reader) -> None:
    source = FakeSource(a_md=b"1")
    source.gone_after = 0
    documents, ingestion = read(source)
    assert documents == {}
    assert unreadable_sources(ingestion.reports) == {"fake": "source fake is gone"}


@pytest.mark.parametrize("parallel_reads", [1, 4])
def test_an_unexpected_error_during_reading_makes_the_source_incomplete_and_is_not_quoted(
    read: Reader, monkeypatch: pytest.MonkeyPatch, parallel_reads: int
) -> None:
    source, other = FakeSource("odd", a_md=b"1"), FakeSource("other", b_md=b"2")
    source.parallel_reads = other.parallel_reads = parallel_reads

    def fail(*_: object) -> Reading:
        raise KeyError("a secret")

    monkeypatch.setattr(source, "read", fail)
    documents, ingestion = read(source, other)
    assert set(documents) == {"b.md"}
    assert unreadable_sources(ingestion.reports) == {
        "odd": "source odd failed with KeyError while it was read"
    }


def test_a_deleted_document_counts_as_unlisted(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource(a_md=b"1")

    def gone(*_: object) -> Reading:
        raise DocumentGone("There is none.")

    monkeypatch.setattr(source, "read", gone)
    documents, ingestion = read(source)
    assert documents == {}
    assert unreadable_sources(ingestion.reports) == {}


def test_a_compressed_file_is_parsed_by_its_inner_suffix(read: Reader) -> None:
    page = gzip.compress(b"<p>One <b>word</b></p>", mtime=0)
    source = FakeSource()
    source.put("page.txt.gz", page)
    source.put("page.html.gz", page)
    documents, _ = read(source)
    texts = {path: read.texts.get(str(state.content_hash)) for path, state in documents.items()}
    assert texts == {"page.txt.gz": "<p>One <b>word</b></p>", "page.html.gz": "One word"}


def test_an_empty_source_is_complete(read: Reader) -> None:
    documents, ingestion = read(FakeSource())
    assert documents == {}
    assert unreadable_sources(ingestion.reports) == {}


def test_more_documents_than_a_batch_are_all_read(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion_module, "_BATCH", 3)
    source = FakeSource()
    for number in range(10):
        source.put(f"{number}.txt", str(number).encode())
    assert len(read(source)[0]) == 10
    assert counts(read(source)[1]) == (10, 0, 0, 0)


def test_a_document_written_just_now_is_read_once_more(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource(a_txt=b"first")
    source.modified_at = datetime.now(UTC).isoformat()
    monkeypatch.setattr(reading, "sleep", lambda _: None)
    read(source)
    # Written again within the tick of its version token: nothing shows in the listing.
    source.files["a.txt"] = b"other"
    documents, _ = read(source)
    assert read.texts.get(str(documents["a.txt"].content_hash)) == "other"
    # Later its token is trusted, after one more look.
    later = datetime.now(UTC).timestamp() + 60
    monkeypatch.setattr(base.time, "time", lambda: later)
    assert counts(read(source)[1]) == (1, 1, 0, 0)
    assert counts(read(source)[1]) == (1, 0, 0, 0)


def test_version_tokens_are_enough_without_modified_times(read: Reader) -> None:
    source = FakeSource(a_txt=b"text")
    source.modified_at = None
    read(source)
    assert counts(read(source)[1]) == (1, 0, 0, 0)


def test_progress_starts_with_the_number_of_all_listed_documents(
    read: Reader, progress_lines: list[str]
) -> None:
    read(FakeSource("one", a_md=b"one", b_md=b"two"), FakeSource("other", a_md=b"three"))
    assert [line.split(",")[0] for line in progress_lines] == [
        f"{done} of 3 documents checked" for done in (1, 2, 3)
    ]
