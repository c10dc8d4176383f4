"""A document that fails like an outage harms only itself, as long as its source still answers."""

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets.ingestion.proof_of_life import ProofOfLife
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader

NAMES = tuple("abcdefghijklmnop")


@pytest.fixture(params=[1, 4], ids=["one by one", "in parallel"])
def source(request: pytest.FixtureRequest) -> FakeSource:
    source = FakeSource(**{f"{name}_txt": f"text {name}".encode() for name in NAMES})
    source.parallel_reads = request.param
    return source


def edit_all(source: FakeSource) -> None:
    for path in list(source.files):
        source.put(path, b"edited " + source.files[path])


@pytest.mark.parametrize("cut_off", ["a", "h", "p", "abcd", "hijklm", "ah"])
def test_the_other_documents_are_read(read: Reader, source: FakeSource, cut_off: str) -> None:
    before, _ = read(source)
    edit_all(source)
    source.cut_off = {f"{name}.txt" for name in cut_off}
    served = {state.document_id: state for state in before.values()}
    documents, ingestion = read(source, served=served)
    assert unreadable_sources(ingestion.reports) == {}
    found = {path for path, state in documents.items() if state.quarantine_reason}
    assert found == source.cut_off
    assert {documents[path].quarantine_detail for path in found} == {"an object was cut off."}
    assert all(documents[path].content_hash != before[path].content_hash for path in documents.keys() - found)
    source.cut_off = set()
    documents, _ = read(source, served=served)
    assert not any(state.quarantine_reason for state in documents.values())


def test_documents_that_fail_again_and_again_hide_no_others(read: Reader, source: FakeSource) -> None:
    """Only these are read again at each refresh, so nothing else shows that the source answers."""
    source.cut_off = {f"{name}.txt" for name in "abcdefgh"}
    for _ in range(2):
        documents, ingestion = read(source)
        assert unreadable_sources(ingestion.reports) == {}
        assert {path for path, state in documents.items() if state.quarantine_reason} == source.cut_off


def test_a_first_reading_with_a_failed_document_is_complete(read: Reader, source: FakeSource) -> None:
    source.cut_off = {"a.txt", "b.txt"}
    documents, ingestion = read(source)
    assert unreadable_sources(ingestion.reports) == {}
    assert len(documents) == len(NAMES)


@pytest.mark.parametrize("num_new", [1, 2, 9])
@pytest.mark.parametrize("gone_after", [0, 1, 5])
def test_a_source_that_answers_no_more_is_incomplete(
    read: Reader, source: FakeSource, num_new: int, gone_after: int
) -> None:
    read(source)
    for number in range(num_new):
        source.put(f"new{number}.txt", b"new")
    source.gone_after = gone_after
    documents, ingestion = read(source)
    is_gone = gone_after < num_new
    assert unreadable_sources(ingestion.reports) == ({"fake": "source fake is gone"} if is_gone else {})
    assert not any(state.quarantine_reason for state in documents.values())
    assert sum(path.startswith("new") for path in documents) == min(num_new, gone_after)


def test_an_outage_is_noticed_soon(read: Reader, source: FakeSource) -> None:
    """Each failure may take as long as a timeout."""
    source.cut_off = set(source.files)
    _, ingestion = read(source)
    assert unreadable_sources(ingestion.reports) == {"fake": "source fake: an object was cut off"}
    assert len(source.read_paths) <= 3 + 2 * source.parallel_reads


def test_a_source_that_takes_too_long_to_fail_is_given_up() -> None:
    """Each failure may take as long as a timeout, and there may be thousands."""
    source = FakeSource(**{f"{name}_txt": b"text" for name in NAMES})
    entries = list(source.list_entries())
    proof = ProofOfLife(source, entries)
    down = SourceUnavailable("source fake: too slow")
    for entry in entries[:6]:
        proof.has_failed(entry, down, after_seconds=120)
    proof.was_read(entries[9])
    proof.has_failed(entries[6], down, after_seconds=1)
    with pytest.raises(SourceUnavailable, match="too slow"):
        proof.has_failed(entries[7], down, after_seconds=200)
