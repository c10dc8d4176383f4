import uuid
from dataclasses import fields, replace
from typing import Any

import pytest

from rag_assets.fingerprint import (
    canonical_json,
    fingerprint_difference,
    index_fingerprint,
    point_id,
    short_hash,
)
from rag_assets.records import EmbeddingModel
from rag_assets_tests.documents import MODEL

SETTINGS: dict[str, Any] = {
    "chunker": "token_window",
    "chunker_version": "1",
    "chunk_size": 512,
    "chunk_overlap": 50,
    "tokenizer": "cl100k_base",
    "sparse": {"k": 1.2, "avg_len": 256.0},
}


def fingerprint(model: EmbeddingModel = MODEL, **changed: Any) -> dict[str, Any]:
    return index_fingerprint(model, **(SETTINGS | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"chunker": "other"},
        {"chunker_version": "2"},
        {"chunk_size": 256},
        {"chunk_overlap": 0},
        {"tokenizer": "o200k_base"},
        {"sparse": {"k": 1.2, "avg_len": 100.0}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_setting_with_an_influence_on_points_changes_the_fingerprint(changed: dict[str, Any]) -> None:
    assert short_hash(fingerprint(**changed)) != short_hash(fingerprint())
    assert fingerprint_difference(fingerprint(), fingerprint(**changed)) == list(changed)


@pytest.mark.parametrize("name", [field.name for field in fields(EmbeddingModel)])
def test_every_trait_of_the_model_changes_the_fingerprint(name: str) -> None:
    value = 9 if name == "dimensions" else "other"
    other = fingerprint(replace(MODEL, **{name: value}))
    assert fingerprint_difference(fingerprint(), other) == ["embedding_model"]


def test_the_fingerprint_survives_json() -> None:
    import json

    stored = json.loads(json.dumps(fingerprint()))
    assert short_hash(stored) == short_hash(fingerprint())
    assert fingerprint_difference(stored, fingerprint()) == []


def test_a_setting_of_only_one_fingerprint_is_a_difference() -> None:
    assert fingerprint_difference({"a": 1}, {"a": 1, "b": 2}) == ["b"]


def test_the_canonical_form_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": "ü", "a": [1, None]}) == '{"a":[1,null],"b":"ü"}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_a_point_id_depends_on_fingerprint_content_and_position() -> None:
    ids = {point_id(f, c, i) for f in ("f1", "f2") for c in ("c1", "c2") for i in (0, 1, 11)}
    assert len(ids) == 12
    assert all(uuid.UUID(one).version == 5 and str(uuid.UUID(one)) == one for one in ids)
    # Fixed values: a later version must not change the ids of the points of an existing knowledge base.
    assert point_id("f", "c", 0) == "b9627c22-3e56-56ee-8f9b-d924343e8270"
