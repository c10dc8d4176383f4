import pytest

from rag_assets.document_metadata.normalization import MAX_BYTES, MAX_KEYS, size_bytes
from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.document_metadata.values import Metadata, MetadataValue


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", "2024", 2024),
        ("integer", 2024, 2024),
        ("integer", ("2024",), 2024),
        ("integer", "2024.0", 2024),
        ("integer", 0.5, None),
        ("integer", "MMXX", None),
        ("integer", "1_000", None),
        ("integer", "٣", None),
        ("integer", "nan", None),
        ("integer", "inf", None),
        ("integer", True, None),
        ("integer", ("1", "2"), None),
        ("float", "0.5", 0.5),
        ("float", 2, 2),
        ("keyword", 2024, "2024"),
        ("keyword", True, "true"),
        ("keyword", ("a", "b"), ("a", "b")),
        ("datetime", "2024-01-31T00:00:00Z", "2024-01-31T00:00:00Z"),
        ("datetime", "yesterday", None),
        ("datetime", 2024, None),
        ("bool", "yes", True),
        ("bool", "False", False),
        ("bool", 1, None),
    ],
)
def test_a_key_with_an_index_has_values_of_its_kind(
    kind: str, value: MetadataValue, expected: MetadataValue | None
) -> None:
    merged = MetadataPolicy.of([f"key:{kind}"]).merged(Metadata.of({"key": value}))
    assert merged == Metadata.of({} if expected is None else {"key": expected})
    assert merged.left_out == ((f"no {kind}: key",) if expected is None else ())


def test_a_source_and_a_document_together_are_bounded_and_keys_with_an_index_stay() -> None:
    of_source = Metadata.of({f"a{number:02}": number for number in range(MAX_KEYS)})
    of_document = Metadata.of({f"b{number:02}": number for number in range(MAX_KEYS)})
    merged = MetadataPolicy.of(["b63:integer"]).merged(of_source, of_document)
    assert len(merged) == MAX_KEYS
    assert merged["b63"] == 63
    assert "too many keys" in merged.left_out
    texts = Metadata.of({f"c{number}": "x" * 500 for number in range(7)})
    more = Metadata.of({f"d{number}": "x" * 500 for number in range(7)})
    merged = MetadataPolicy.of(["d6:keyword"]).merged(texts, more)
    assert sum(size_bytes(*pair) for pair in merged.pairs) <= MAX_BYTES
    assert "d6" in merged


@pytest.mark.parametrize(
    "entry", ["year", "year:number", ":integer", "!:integer", "year:", "x" * 65 + ":integer"]
)
def test_an_index_of_another_form_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not KEY:KIND"):
        MetadataPolicy.of([entry])


def test_a_key_has_one_kind() -> None:
    with pytest.raises(ValueError, match="doc_type has two kinds: keyword and integer"):
        MetadataPolicy.of(["docType:keyword", "doc-type:integer"])
    assert MetadataPolicy.of(["docType:keyword", "doc-type:keyword"]).kinds == {"doc_type": "keyword"}


def test_everything_can_be_left_out() -> None:
    merged = MetadataPolicy.of((), (), ["*"]).merged(Metadata.of({"a": 1}))
    assert dict(merged) == {}
    assert merged.left_out == ("RAG_METADATA_LEAVE_OUT: a",)
