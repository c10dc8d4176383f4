"""The distribution of chunk sizes in the UI: that of the whole candidate or production, not of the last change."""

from collections import Counter
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from rag_assets.generations import staging
from rag_assets_tests.pipeline import Pipeline, Run, text_about
from rag_assets_tests.scenarios.conftest import CHANGED


def shown(run: Run, asset: str) -> dict[str, int]:
    records = run.metadata[asset]["chunk_sizes"].records
    return {str(record.data["tokens"]): int(record.data["count"]) for record in records}


def counted(pipeline: Pipeline, chunk_size: int = 64) -> dict[str, int]:
    """Count the chunks of production by their size, in eight classes."""
    width = chunk_size // 8
    classes = Counter((point.payload["token_count"] - 1) // width for point in pipeline.points().values())
    return {f"{one * width + 1} to {(one + 1) * width}": classes[one] for one in sorted(classes)}


def assert_is_whole(pipeline: Pipeline, run: Run, chunk_size: int = 64) -> None:
    expected = counted(pipeline, chunk_size)
    assert len(expected) > 1
    assert shown(run, "staging_collection") == shown(run, "production_collection") == expected


def test_after_every_change_all_chunks_are_counted(promoted: Pipeline) -> None:
    promoted.write(CHANGED, text_about("third version", paragraphs=1))
    assert_is_whole(promoted, promoted.refresh().checked())
    assert_is_whole(promoted, promoted.refresh().checked())  # unchanged
    promoted.remove("topic05.md", "topic06.md")
    (promoted.documents / "topic07.md").rename(promoted.documents / "moved.md")
    promoted.write("copy.md", text_about(8))
    promoted.write("short.md", "Short.\n")
    assert_is_whole(promoted, promoted.refresh().checked())
    promoted.configure(RAG_CHUNK_SIZE="32")
    assert_is_whole(promoted, promoted.refresh().checked(), 32)


def test_production_of_an_earlier_version_is_counted_once(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest_of = staging.GenerationManifest

    def without_sizes(**fields: Any) -> Any:
        return replace(manifest_of(**fields), chunk_sizes="")

    with mock.patch.object(staging, "GenerationManifest", without_sizes):
        promoted.write(CHANGED, text_about("third version"))
        run = promoted.refresh().checked()
        assert "chunk_sizes" not in run.metadata["staging_collection"]
    assert "chunk_sizes" not in promoted.refresh().checked().metadata["staging_collection"]  # nothing is read
    promoted.write(CHANGED, text_about("fourth version", paragraphs=2))
    assert_is_whole(promoted, promoted.refresh().checked())


def test_production_shows_its_own_sizes_while_it_is_held(promoted: Pipeline) -> None:
    promoted.succeed("rollback", "--reason", "a test")
    expected = counted(promoted)
    promoted.write("short.md", "Short.\n" * 3)
    run = promoted.refresh().checked()
    assert shown(run, "production_collection") == expected != shown(run, "staging_collection")
