"""What documents and sources say of a document reaches its location, and survives readings without a parse."""

import math
from dataclasses import replace
from typing import Any

import pytest

from rag_assets.changes.change_set import Change, decide_changes
from rag_assets.changes.content_changes import content_changes
from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.document_metadata.values import Metadata
from rag_assets.ingestion.listings import ListingHash, hash_listings
from rag_assets.ingestion.source_reports import metadata_left_out
from rag_assets_tests.ingestion.fake_source import FakeSource, Reader


def test_the_source_wins_over_the_document_and_the_listing_over_the_reading() -> None:
    policy = MetadataPolicy()
    listed, read, parsed = (
        Metadata.of({"a": 1}),
        Metadata.of({"a": 2, "b": 2}),
        Metadata.of({"a": 3, "b": 3, "c": 3}),
    )
    assert dict(policy.merged(listed, read, parsed)) == {"a": 1, "b": 2, "c": 3}


def test_metadata_known_after_reading_are_remembered(read: Reader) -> None:
    source = FakeSource(a_txt=b"same", b_txt=b"same")
    source.reading_metadata["a.txt"] = Metadata.of({"bucket": "x"})
    first, _ = read(source)
    assert dict(first["a.txt"].location.metadata) == {"bucket": "x"}
    assert dict(first["b.txt"].location.metadata) == {}
    second, _ = read(source)
    assert source.read_paths == []
    assert second == first


def test_metadata_of_the_listing_change_without_reading_or_embedding(read: Reader) -> None:
    source = FakeSource(a_txt=b"one", b_txt=b"two")
    source.metadata["a.txt"] = Metadata.of({"year": 2023})
    first, _ = read(source)
    source.metadata["a.txt"] = Metadata.of({"year": 2024})
    second, _ = read(source)
    assert source.read_paths == []
    changes = decide_changes(first.values(), second.values(), {"fake"})
    assert [change.change for change in changes] == [Change.UPDATED, Change.UNCHANGED]
    [content] = content_changes(first.values(), second.values())
    assert content.was_held
    assert [dict(location.metadata) for location in content.locations] == [{"year": 2024}]


def test_a_changed_type_is_a_change(read: Reader) -> None:
    source = FakeSource(a_txt=b"one")
    source.metadata["a.txt"] = Metadata.of({"flag": 1})
    first, _ = read(source)
    source.metadata["a.txt"] = Metadata.of({"flag": True})
    second, _ = read(source)
    [change] = decide_changes(first.values(), second.values(), {"fake"})
    assert change.change is Change.UPDATED
    assert len(content_changes(first.values(), second.values())) == 1


def test_settings_act_without_reading(read: Reader) -> None:
    source = FakeSource(a_txt=b"one")
    source.reading_metadata["a.txt"] = Metadata.of({"author": "Ann", "year": "2024", "internal_id": "x"})
    plain, ingestion = read(source)
    assert dict(plain["a.txt"].location.metadata) == {"year": "2024", "internal_id": "x"}
    assert metadata_left_out(ingestion.reports) == {"fake": {"personal: author": 1}}
    policy = MetadataPolicy.of(["year:integer"], ["Author"], ["internal_*"])
    other, ingestion = read(source, metadata_policy=policy)
    assert source.read_paths == []
    assert dict(other["a.txt"].location.metadata) == {"author": "Ann", "year": 2024}
    assert metadata_left_out(ingestion.reports) == {"fake": {"RAG_METADATA_LEAVE_OUT: internal_id": 1}}


def test_a_quarantined_document_keeps_the_metadata_of_its_source(read: Reader) -> None:
    source = FakeSource(a_pdf=b"%PDF-1.7 torn")
    source.metadata["a.pdf"] = Metadata.of({"year": 2024})
    documents, _ = read(source)
    assert documents["a.pdf"].content_hash is None
    assert dict(documents["a.pdf"].location.metadata) == {"year": 2024}


def test_a_key_that_cannot_be_read_keeps_its_value_in_production(read: Reader) -> None:
    source = FakeSource(a_txt=b"one", b_txt=b"two")
    source.metadata["a.txt"] = Metadata.of({"labels": ("hr",), "year": 2023})
    first, _ = read(source)
    for path in ("a.txt", "b.txt"):
        source.metadata[path] = Metadata.of({"year": 2024}).without("labels", "HTTP 403")
    source.put("a.txt", b"three")
    served = {state.document_id: state for state in first.values()}
    second, ingestion = read(source, served=served)
    assert dict(second["a.txt"].location.metadata) == {"labels": ("hr",), "year": 2024}
    assert dict(second["b.txt"].location.metadata) == {"year": 2024}
    assert metadata_left_out(ingestion.reports) == {"fake": {"not readable: labels (HTTP 403)": 2}}
    left_out, _ = read(source, served=served, metadata_policy=MetadataPolicy.of((), (), ["labels"]))
    assert dict(left_out["a.txt"].location.metadata) == {"year": 2024}
    source.metadata["a.txt"] = Metadata.of({"year": 2024})
    third, _ = read(source, served=served)
    assert dict(third["a.txt"].location.metadata) == {"year": 2024}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"docType": "memo", "password": "x", "nan": math.nan}, {"doc_type": "memo"}),
        ({f"k{number}": "x" * 1000 for number in range(1000)}, None),
        (None, {}),
        ("text", {}),
        ([("a", 1)], {}),
    ],
)
def test_any_source_may_give_anything_as_metadata(read: Reader, raw: Any, expected: Any) -> None:
    source = FakeSource(a_txt=b"one")
    source.metadata["a.txt"] = source.reading_metadata["a.txt"] = raw
    hashes, problems = hash_listings([source], 10.0)
    documents, ingestion = read(source)
    metadata = documents["a.txt"].location.metadata
    assert dict(metadata) == expected or expected is None
    assert len(str(metadata.to_json())) < 5000
    assert (hashes, problems) == (ingestion.listing_hashes, {})


def test_the_hash_of_a_listing_follows_its_metadata() -> None:
    [entry] = FakeSource(a_txt=b"one").list_entries()

    def listed(metadata: Metadata) -> str:
        listing = ListingHash()
        listing.add(replace(entry, metadata=metadata))
        return listing.hexdigest()

    one, two = Metadata.of({"year": 1}), Metadata.of({"year": 2})
    assert len({listed(Metadata()), listed(one), listed(two)}) == 3
    # Of an earlier version, so that its sensors see no change.
    assert listed(Metadata()) == "bdda96e2b798907ab7fb60df185f60f40b22f683c1a51ab0aca33e4939a2399a"
