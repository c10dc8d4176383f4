"""Laws of a refresh: no order has an influence, and what is done and undone is nothing."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_assets.embedders.probe import PROBE_TEXTS
from rag_assets.records import GenerationManifest
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets_tests.histories.expectation import known_documents, stored_points
from rag_assets_tests.histories.world import SOURCES, World
from rag_assets_tests.pipeline import assert_same_points

DOCUMENTS = {
    ("one", "a.md"): "apples and pears",
    ("one", "b.md"): "bananas are long " * 12,
    ("one", "sub/c.md"): "apples and pears",
    ("two", "a.md"): "cherries, and more",
    ("two", "sub/c.md"): "bananas are long " * 12,
    ("two", "sub/d.md"): "plums",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "home")
    for place, text in DOCUMENTS.items():
        made.write(*place, text)
    return made


def manifest_of(world: World) -> GenerationManifest:
    with world.knowledge_base() as knowledge_base:
        manifest = knowledge_base.production_manifest()
        assert manifest is not None
        return manifest


def build(world: World) -> tuple[str, str, dict[str, Any]]:
    """Refresh with an empty state folder; return the digest, the hash of the documents, and the points."""
    world.lose(".")
    world.refresh().checked()
    manifest = manifest_of(world)
    return manifest.digest, manifest.documents_hash, stored_points(world, manifest.generation)


def in_order_of(seed: int) -> "mock._patch[Any]":
    """List every source in an order of its own."""
    original = FilesystemSource.list_entries

    def shuffled(self: FilesystemSource) -> Iterator[Any]:
        entries = list(original(self))
        random.Random(f"{seed} {self.name}").shuffle(entries)
        return iter(entries)

    return mock.patch.object(FilesystemSource, "list_entries", shuffled)


@pytest.mark.slow
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 999), sources=st.permutations(SOURCES), paths=st.permutations(list(DOCUMENTS)))
def test_no_order_has_an_influence(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sources: list[str], paths: list[tuple[str, str]]
) -> None:
    world = World(tmp_path_factory.mktemp("orders") / "home")
    for place in DOCUMENTS:
        world.write(*place, DOCUMENTS[place])
    digest, documents, points = build(world)
    for place in paths:  # written in another order, one refresh for every other file
        world.remove(*place)
    world.write_sources(sources)
    with in_order_of(seed):
        world.lose(".")
        for number, place in enumerate(paths):
            world.write(*place, DOCUMENTS[place])
            if number % 2:
                world.refresh().checked()
    manifest = manifest_of(world)
    assert (manifest.digest, manifest.documents_hash) == (digest, documents)
    assert_same_points(stored_points(world, manifest.generation), points)


def edit(world: World) -> None:
    world.write("one", "a.md", "another text")


def edit_back(world: World) -> None:
    world.write("one", "a.md", DOCUMENTS["one", "a.md"])


def move(world: World) -> None:
    world.move("one", "b.md", "two", "moved/b.md")


def move_back(world: World) -> None:
    world.move("two", "moved/b.md", "one", "b.md")


def add(world: World) -> None:
    world.write("two", "new.md", "apples and pears")
    world.write("two", "newer.md", "quite new")


def delete_again(world: World) -> None:
    world.remove("two", "new.md")
    world.remove("two", "newer.md")


def break_file(world: World) -> None:
    world.write("one", "a.md", b"\x00\xff\x00")


def touch(world: World) -> None:
    for place in DOCUMENTS:
        os.utime(world.path(*place), (1_800_000_000, 1_800_000_000))


def unplug(world: World) -> None:
    world.path("two", "").rename(world.home / "unplugged")


def plug(world: World) -> None:
    (world.home / "unplugged").rename(world.path("two", ""))


def smaller_chunks(world: World) -> None:
    world.settings["chunk_size"] = 24


def chunks_as_before(world: World) -> None:
    world.settings["chunk_size"] = 16


@pytest.mark.slow
@pytest.mark.parametrize("with_refresh_between", [True, False])
@pytest.mark.parametrize(
    ("do", "undo"),
    [
        (edit, edit_back),
        (move, move_back),
        (add, delete_again),
        (break_file, edit_back),
        (unplug, plug),
        (smaller_chunks, chunks_as_before),
        (touch, touch),
    ],
)
def test_done_and_undone_is_nothing(
    world: World, do: Callable[[World], None], undo: Callable[[World], None], with_refresh_between: bool
) -> None:
    world.refresh().checked()
    manifest, documents = manifest_of(world), known_documents(world)
    points = stored_points(world, manifest.generation)
    do(world)
    if with_refresh_between:
        world.refresh().checked()
    asked = embedded_texts(world)
    undo(world)
    world.refresh().checked()
    after = manifest_of(world)
    assert after.digest == manifest.digest
    assert after.documents_hash == manifest.documents_hash
    assert known_documents(world) == documents
    assert_same_points(stored_points(world, after.generation), points)
    assert embedded_texts(world) == asked, "a text known from before was embedded again"


def embedded_texts(world: World) -> list[str]:
    """Return all texts sent to the model, without those of the probe."""
    return [text for batch in world.embedder.batches for text in batch if text not in PROBE_TEXTS]


@pytest.mark.slow
def test_two_changes_commute(world: World) -> None:
    """Together, one after the other, or the other way round: the end is the same."""
    world.refresh().checked()
    ends: list[tuple[str, str]] = []
    for refreshes in ((edit, add), (add, edit), (lambda world: (edit(world), add(world)),)):
        for change in refreshes:
            change(world)
            world.refresh().checked()
        after = manifest_of(world)
        ends.append((after.digest, after.documents_hash))
        edit_back(world)
        delete_again(world)
        world.refresh().checked()
    assert len(set(ends)) == 1
