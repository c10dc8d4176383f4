"""All kinds of sources at once, each with a real service behind it: first refresh, unchanged refresh, outages."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import get_args

import pytest
import yaml

from rag_assets_tests.pipeline import Pipeline, text_about, words
from rag_assets_tests.sources.scenes import SCENES
from rag_assets_tests.sources.scenes.base import Failure, SourceScene

NAMES = ("a", "b", "c", "d", "e")


def word_of(kind: str, name: str) -> str:
    """Return a word of this document alone."""
    return "".join(words((kind, name, "only"), 3))


def text_of(kind: str, name: str) -> str:
    word = word_of(kind, name)
    return f"Whoever needs the {word} asks the desk of {' '.join(words((kind, name), 12))} for a {word}."


def declare(pipeline: Pipeline, scenes: dict[str, SourceScene], timeout_seconds: float) -> None:
    """Declare a source for each scene beside the folder of documents."""
    declared = {f"the-{kind}": scene.declaration() for kind, scene in scenes.items()}
    for options in declared.values():
        if "timeout_seconds" in options:
            options["timeout_seconds"] = timeout_seconds
    path = pipeline.home / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": declared}), encoding="utf-8")
    pipeline.configure(RAG_SOURCES=",".join(["filesystem", *declared]), RAG_SOURCES_FILE=str(path))


@pytest.fixture
def scenes(promoted: Pipeline) -> Iterator[dict[str, SourceScene]]:
    with contextlib.ExitStack() as stack:
        scenes: dict[str, SourceScene] = {}
        for kind, make in SCENES.items():
            folder = promoted.home / f"scene-{kind}"
            folder.mkdir()
            scenes[kind] = make(folder)
            stack.callback(scenes[kind].close)
            for name in NAMES:
                scenes[kind].put(name, text_of(kind, name))
        yield scenes


@pytest.mark.timeout(480)
def test_all_sources_at_once(promoted: Pipeline, scenes: dict[str, SourceScene]) -> None:
    declare(promoted, scenes, timeout_seconds=30)
    run = promoted.refresh().checked()
    assert run.metadata["raw_documents"]["num_unreadable_sources"] == 0
    assert run.metadata["deduped_documents"]["num_added"] == len(SCENES) * len(NAMES)
    for kind, name in itertools.product(scenes, NAMES):
        hit = promoted.search(f"who has a {word_of(kind, name)}?")[0]
        assert word_of(kind, name) in hit["text"]
        (location,) = hit["locations"]
        assert location["source"] == f"the-{kind}"
        assert location["document_id"] == f"the-{kind}:{location['path']}"
        assert location["source_uri"]

    transferred = {kind: scene.num_bodies for kind, scene in scenes.items()}
    assert all(transferred.values())
    again = promoted.refresh().checked()
    assert {kind: scene.num_bodies for kind, scene in scenes.items()} == transferred
    assert (again.metadata["raw_documents"]["num_read"], again.metadata["raw_documents"]["num_parsed"]) == (
        0,
        0,
    )
    assert again.metadata["staging_collection"]["written"] is False


@pytest.mark.timeout(480)
def test_an_outage_deletes_nothing_and_delays_no_other_source(
    promoted: Pipeline, scenes: dict[str, SourceScene]
) -> None:
    """All kinds fail at once, one way after another. Nine tests of one kind each took 230 s for the same facts."""
    declare(promoted, scenes, timeout_seconds=1)
    promoted.refresh().checked()
    served = promoted.served()
    for number, how in enumerate(get_args(Failure)):
        failing = {kind: scene for kind, scene in scenes.items() if how in scene.failures}
        promoted.write("topic03.md", text_about(f"edition {number}"))
        with contextlib.ExitStack() as outage:
            for scene in failing.values():
                outage.enter_context(scene.failing(how))
            run = promoted.refresh().checked()
        assert run.metadata["deduped_documents"]["num_deleted"] == 0, how
        assert run.metadata["deduped_documents"]["num_updated"] == 1, how
        assert promoted.served() == served, how
        unreadable = promoted.status()["last_refresh"]["unreadable_sources"]
        assert set(unreadable) == {f"the-{kind}" for kind in failing}, how
        status = promoted.succeed("status")
        for source in unreadable:
            assert f"DEGRADED       source {source}: " in status, how
    for scene in scenes.values():
        scene.remove("d")
    recovered = promoted.refresh().checked()
    assert recovered.metadata["raw_documents"]["num_unreadable_sources"] == 0
    gone = {document_id.partition(":")[0] for document_id in served - promoted.served()}
    assert gone == {f"the-{kind}" for kind in scenes}, "a document missing in a complete listing is deleted"
    assert len(served - promoted.served()) == len(scenes)
