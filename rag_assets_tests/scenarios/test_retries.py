"""A step is retried only if the next attempt may succeed."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from rag_assets.disk import state_files
from rag_assets.errors import SourceUnavailable, VectorStoreUnavailable
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.fake_openai import FakeOpenAI
from rag_assets_tests.pipeline import Pipeline, Run, text_about


def retried(pipeline: Pipeline, run: Run) -> list[str | None]:
    """The step of every retry of a run."""
    events = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    return [event.step_key for event in events]


def candidate_of(pipeline: Pipeline) -> Path:
    """Stage and evaluate a candidate, and return its folder."""
    before = set(pipeline.generations())
    pipeline.write("topic03.md", text_about("another version"))
    assets = ("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection")
    pipeline.materialize(*assets, "eval_report").checked()
    (name,) = set(pipeline.generations()) - before
    with pipeline.knowledge_base() as knowledge_base:
        return (
            knowledge_base.settings.state_dir
            / "vector_store"
            / knowledge_base.settings.collection
            / (f"generations/{name}")
        )


def test_a_corrupt_candidate_is_not_retried(promoted: Pipeline) -> None:
    folder = candidate_of(promoted)
    largest = max(folder.rglob("*.dat"), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    run = promoted.materialize("production_collection")
    assert not run.success
    assert largest.name in run.failures["production_collection"]
    assert retried(promoted, run) == []


def test_an_unavailable_store_is_retried_twice(promoted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate_of(promoted)

    def away(*_: object) -> None:
        raise VectorStoreUnavailable("the store does not answer")

    monkeypatch.setattr(EmbeddedVectorStore, "read", away)
    run = promoted.materialize("production_collection")
    assert not run.success
    assert retried(promoted, run) == ["production_collection"] * 2


def test_a_missing_folder_is_reported_at_once(promoted: Pipeline) -> None:
    promoted.configure(RAG_DOCUMENTS_DIR=str(promoted.home / "nowhere"))
    run = promoted.refresh()
    assert "nowhere cannot be read: No such file" in run.failures["raw_documents"]
    assert retried(promoted, run) == []


def test_a_source_that_may_answer_later_is_retried_twice(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise SourceUnavailable("source filesystem: no answer")

    monkeypatch.setattr(FilesystemSource, "list_entries", away)
    run = promoted.refresh()
    assert not run.success
    assert retried(promoted, run) == ["raw_documents"] * 2


def test_a_refused_key_is_reported_at_once(promoted: Pipeline) -> None:
    with FakeOpenAI() as server:
        promoted.configure(
            RAG_EMBEDDING_MODEL="openai:text-embedding-3-small",
            OPENAI_API_KEY="not-a-key",
            OPENAI_BASE_URL=server.base_url,
        )
        run = promoted.refresh()
    assert "OPENAI_API_KEY" in run.message
    assert retried(promoted, run) == []


def test_a_full_disk_is_reported_at_once(promoted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted.write("topic03.md", text_about("another version"))
    full = shutil._ntuple_diskusage(10**12, 10**12, 0)
    monkeypatch.setattr(state_files.shutil, "disk_usage", lambda path: full)
    run = promoted.refresh()
    assert not run.success
    assert "0 MB free" in run.failures["staging_collection"]
    assert retried(promoted, run) == []
