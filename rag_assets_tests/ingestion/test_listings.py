"""Listings end in time for any source, and their hashes show changes."""

import threading
from collections.abc import Iterator

import pytest

from rag_assets.ingestion import listings as listings_module
from rag_assets.ingestion.listings import hash_listings, list_sources
from rag_assets.records import SourceEntry
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader


def paths(entries: list[SourceEntry]) -> list[str]:
    return [entry.path for entry in entries]


def test_all_sources_are_listed_at_once() -> None:
    first, second = FakeSource("first", a_txt=b"1"), FakeSource("second", b_txt=b"2")
    second_began = threading.Event()

    def wait_for_the_second() -> Iterator[SourceEntry]:
        assert second_began.wait(30)
        yield from ()

    def begin() -> Iterator[SourceEntry]:
        second_began.set()
        yield from FakeSource.list_entries(second)

    first.list_entries = wait_for_the_second  # type: ignore[method-assign]
    second.list_entries = begin  # type: ignore[method-assign]
    assert [(paths(one.entries), one.problem) for one in list_sources([first, second])] == [
        ([], ""),
        (["b.txt"], ""),
    ]


def test_a_source_that_hangs_is_given_up_and_its_earlier_entries_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listings_module, "_STALLED_SECONDS", 0.2)
    source, other = FakeSource("slow", a_txt=b"1"), FakeSource("other", b_txt=b"2")
    over = threading.Event()

    def hang() -> Iterator[SourceEntry]:
        yield from FakeSource.list_entries(source)
        over.wait()

    source.list_entries = hang  # type: ignore[method-assign]
    slow, complete = list_sources([source, other])
    over.set()
    assert paths(slow.entries) == ["a.txt"]
    assert slow.problem == "source slow listed nothing for 0.2 s: check whether it answers"
    assert (paths(complete.entries), complete.problem) == (["b.txt"], "")


@pytest.mark.parametrize(
    ("error", "name"), [(KeyError("a secret"), "KeyError"), (SystemExit("a secret"), "SystemExit")]
)
def test_an_unexpected_error_ends_a_listing_and_is_not_quoted(error: BaseException, name: str) -> None:
    source = FakeSource("odd", a_txt=b"1")

    def fail() -> Iterator[SourceEntry]:
        yield from FakeSource.list_entries(source)
        raise error

    source.list_entries = fail  # type: ignore[method-assign]
    (listing,) = list_sources([source])
    assert paths(listing.entries) == ["a.txt"]
    assert listing.problem == f"source odd failed with {name} while it was listed"
    assert hash_listings([source], 10.0) == ({}, {"odd": listing.problem})


def test_the_hash_of_a_listing_tells_whether_anything_changed(read: Reader) -> None:
    source = FakeSource(a_txt=b"1", b_txt=b"2")
    _, ingestion = read(source)
    source.read_paths.clear()

    def listing() -> str:
        hashes, problems = hash_listings([source], 10.0)
        assert problems == {}
        return hashes["fake"]

    assert ingestion.listing_hashes == {"fake": listing()}
    assert source.read_paths == []
    seen = {listing()}
    source.put("a.txt", b"changed")
    seen.add(listing())
    source.put("c.txt", b"new")
    seen.add(listing())
    del source.files["b.txt"]
    seen.add(listing())
    assert len(seen) == 4


def test_the_hash_of_a_listing_does_not_depend_on_its_order() -> None:
    forward, backward = FakeSource(a_txt=b"1", b_txt=b"2"), FakeSource(a_txt=b"1", b_txt=b"2")
    entries = list(forward.list_entries())
    backward.list_entries = lambda: iter(entries[::-1])  # type: ignore[method-assign]
    assert hash_listings([forward], 10.0) == hash_listings([backward], 10.0)


def test_only_a_complete_listing_has_a_hash(read: Reader) -> None:
    whole, torn, silent = (
        FakeSource("whole", a_txt=b"1"),
        FakeSource("torn", a_txt=b"1"),
        FakeSource("silent"),
    )
    torn.fails_after = 1
    torn.put("b.txt", b"2")
    over = threading.Event()

    def never() -> Iterator[SourceEntry]:
        over.wait()
        yield from ()

    _, ingestion = read(whole, torn)
    silent.list_entries = never  # type: ignore[method-assign]
    hashes, problems = hash_listings([whole, torn, silent], 0.5)
    over.set()
    assert hashes.keys() == {"whole"}
    assert "broke off" in problems["torn"]
    assert "was not listed within 0.5 s" in problems["silent"]
    assert ingestion.listing_hashes == hashes


def test_a_hanging_source_does_not_affect_the_hash_of_the_next() -> None:
    silent, whole = FakeSource("silent"), FakeSource("whole", a_txt=b"1")
    over = threading.Event()

    def never() -> Iterator[SourceEntry]:
        over.wait()
        yield from ()

    silent.list_entries = never  # type: ignore[method-assign]
    hashes, problems = hash_listings([silent, whole], 0.3)
    over.set()
    assert hashes.keys() == {"whole"}
    assert problems.keys() == {"silent"}
