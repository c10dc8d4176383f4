import json

import pytest

from rag_assets.document_metadata import kinds as kinds_module
from rag_assets.document_metadata.kinds import kinds_from_text, kinds_to_text, known_kinds
from rag_assets.document_metadata.values import Metadata

DOCUMENTS = [
    Metadata.of({"year": 2024, "tags": ("a",), "draft": True}),
    Metadata.of({"year": "2024", "reviewed": "2024-01-31T00:00:00Z", "share": 0.5}),
    Metadata(),
]


def test_each_key_has_the_kinds_of_all_its_values() -> None:
    assert kinds_from_text(kinds_to_text(DOCUMENTS)) == {
        "year": {"number", "text"},
        "tags": {"text"},
        "draft": {"boolean"},
        "reviewed": {"date"},
        "share": {"number"},
    }
    assert kinds_from_text(kinds_to_text([])) == {}


def test_the_kinds_of_earlier_versions_are_unknown() -> None:
    assert kinds_from_text("") is None
    assert known_kinds(None, {}, "year") is None
    assert known_kinds(None, {"year": "integer"}, "year") == {"number"}


def test_a_key_of_no_document_differs_from_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = kinds_from_text(kinds_to_text(DOCUMENTS))
    assert known_kinds(stored, {}, "yaer") == frozenset()
    assert known_kinds(stored, {"yaer": "keyword"}, "yaer") == {"text"}
    assert known_kinds(stored, {"year": "datetime"}, "year") == {"number", "text", "date"}
    monkeypatch.setattr(kinds_module, "_MOST_KEYS", 2)
    shortened = kinds_from_text(kinds_to_text(DOCUMENTS))
    assert known_kinds(shortened, {}, "year") == {"number", "text"}
    assert known_kinds(shortened, {}, "tags") is None, "one of the keys beyond the most frequent"


@pytest.mark.parametrize("stored", ["[]", "7", "{", '{"a": 7}', '{"a": ["colour"]}', json.dumps({"a": [1]})])
def test_damaged_kinds_are_refused(stored: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json too
        kinds_from_text(stored)
