"""Metadata of every kind of source, from the service behind it to a filter, on the embedded store and on a server."""

import contextlib
import warnings
from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest
import yaml

from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.pipeline import Pipeline, words
from rag_assets_tests.sources.scenes import SCENES
from rag_assets_tests.sources.scenes.base import DescribingScene

KINDS = sorted(set(SCENES) - {"filesystem"})
"""Files of a folder hold their own metadata."""


class _KeptStore(ServerVectorStore):
    """Keeps its client open: the next knowledge base uses the same in-memory server."""

    def close(self) -> None: ...


@pytest.fixture(params=["embedded", "server"])
def pipeline(
    request: pytest.FixtureRequest, empty: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    if request.param == "embedded":
        yield empty
        return
    from qdrant_client import QdrantClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = QdrantClient(":memory:")
    monkeypatch.setattr(
        "rag_assets.knowledge_base.build_vector_store",
        lambda settings: _KeptStore(client, settings.collection),
    )
    yield empty
    client.close()


@pytest.fixture
def scenes(pipeline: Pipeline) -> Iterator[dict[str, DescribingScene]]:
    with contextlib.ExitStack() as stack:
        scenes: dict[str, DescribingScene] = {}
        for kind in KINDS:
            folder = pipeline.home / f"scene-{kind}"
            folder.mkdir()
            scenes[kind] = cast("DescribingScene", SCENES[kind](folder))
            stack.callback(scenes[kind].close)
        yield scenes


def declare(pipeline: Pipeline, scenes: dict[str, DescribingScene]) -> None:
    declared = {
        f"the-{kind}": scene.declaration() | {"timeout_seconds": 30} for kind, scene in scenes.items()
    }
    path = pipeline.home / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": declared}), encoding="utf-8")
    pipeline.configure(
        RAG_SOURCES=",".join(["filesystem", *declared]),
        RAG_SOURCES_FILE=str(path),
        RAG_METADATA_INDEXES="team:keyword,year:integer",
    )


def found(pipeline: Pipeline, kind: str, *conditions: str) -> set[str]:
    """Return the names of the documents of one kind that meet these conditions."""
    filters = [part for it in (f"source=the-{kind}", *conditions) for part in ("--filter", it)]
    hits = pipeline.json("search", "what does the entry say?", "--json", "--limit", "20", *filters)["hits"]
    return {name for hit in hits for name in ("apple", "banana") if f"The entry {name}" in hit["text"]}


@pytest.mark.timeout(480)
def test_documents_of_every_source_are_found_by_their_metadata(
    pipeline: Pipeline, scenes: dict[str, DescribingScene]
) -> None:
    for kind, scene in scenes.items():
        for name in ("apple", "banana"):
            scene.put(name[0], f"The entry {name} of {kind} says {' '.join(words((kind, name), 12))}.")
        scene.describe("a", "red", 2023)
        scene.describe("b", "blue", 2024)
    declare(pipeline, scenes)
    run = pipeline.refresh().checked()
    assert run.metadata["raw_documents"]["num_unreadable_sources"] == 0
    for kind, scene in scenes.items():
        word, number = scene.keys
        find = partial(found, pipeline, kind)
        assert find() == {"apple", "banana"}, kind
        assert find(f"metadata.{word}=red") == {"apple"}, kind
        assert find(f"metadata.{word}=red,blue") == {"apple", "banana"}, kind
        if number:
            assert find(f"metadata.{number}>=2024") == {"banana"}, kind
            assert find(f"metadata.{number}<2024", f"metadata.{word}=blue") == set(), kind

    for scene in scenes.values():
        scene.describe("a", "green", 2025)
    again = pipeline.refresh().checked()
    assert again.metadata["embeddings"]["num_embedded"] == 0
    assert again.metadata["raw_documents"]["num_unreadable_sources"] == 0
    for kind, scene in scenes.items():
        word, number = scene.keys
        assert found(pipeline, kind, f"metadata.{word}=green") == {"apple"}, kind
        assert found(pipeline, kind, f"metadata.{word}=red") == set(), kind
        if number:
            assert found(pipeline, kind, f"metadata.{number}=2025") == {"apple"}, kind
    unchanged = pipeline.refresh().checked()
    assert unchanged.metadata["staging_collection"]["written"] is False
