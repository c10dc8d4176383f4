"""`rag-assets plan` writes nothing, asks no endpoint, and predicts the next refresh."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, Run, text_about, token_in

PipelineIn = Callable[[str], tuple[Pipeline, Run | None]]


def plan(pipeline: Pipeline) -> dict[str, Any]:
    return json.loads(pipeline.succeed("plan", "--json"))


def everything_in(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return name, size, times and bytes of a folder and of everything in it."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        entry: tuple[Any, ...] = (status.st_mode, status.st_ino, status.st_mtime_ns)
        if path.is_file():
            with path.open("rb") as file:
                entry = (*entry, status.st_size, hashlib.file_digest(file, "sha256").hexdigest())
        found[str(path.relative_to(folder))] = entry
    return found


def change_everything(pipeline: Pipeline) -> None:
    """Make one change of every kind."""
    folder = pipeline.documents
    with (folder / "topic00.md").open("a") as file:
        file.write("\nOne more paragraph, about nothing in particular.\n")
    pipeline.touch(folder / "topic00.md")
    pipeline.write("new.md", text_about("new"))
    pipeline.write("new_copy.md", text_about("new"))
    pipeline.write("known_paragraph.md", text_about(5, paragraphs=2))
    pipeline.remove("topic01.md")
    (folder / "topic02.md").rename(folder / "moved.md")
    pipeline.write("copy.md", (folder / "topic04.md").read_bytes())
    pipeline.write("torn.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    pipeline.write("topic09.md", b"")
    pipeline.touch(folder / "topic10.md")


def lose_the_ledger(pipeline: Pipeline) -> None:
    for path in pipeline.state_dir.glob("ledger.sqlite*"):
        path.unlink()


def lose_the_texts_of_documents_that_turned_bad(pipeline: Pipeline) -> None:
    """A rebuild needs this text, and only the points still hold it."""
    pipeline.write("topic09.md", b"")
    shutil.rmtree(pipeline.state_dir / "texts")
    pipeline.configure(RAG_CHUNK_SIZE="48")


def other_chunks(pipeline: Pipeline) -> None:
    pipeline.configure(RAG_CHUNK_SIZE="48")


def lose_the_vector_store(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.state_dir / "vector_store")


def nothing(_: Pipeline) -> None: ...


CASES: dict[str, tuple[str, Callable[[Pipeline], None]]] = {
    "empty": ("empty", nothing),
    "promoted": ("promoted", nothing),
    "changed": ("promoted", change_everything),
    "changed after a failed gate": ("gate failed", change_everything),
    "other chunks": ("promoted", other_chunks),
    "lost ledger": ("promoted", lose_the_ledger),
    "lost texts": ("promoted", lose_the_texts_of_documents_that_turned_bad),
    "lost vector store": ("promoted", lose_the_vector_store),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_writes_nothing_and_the_next_refresh_matches_it(case: str, pipeline_in: PipelineIn) -> None:
    state, change = CASES[case]
    pipeline, _ = pipeline_in(state)
    change(pipeline)
    before = everything_in(pipeline.home)

    planned = plan(pipeline)
    pipeline.succeed("plan")

    assert everything_in(pipeline.home) == before
    run = pipeline.refresh().checked()
    for asset in ("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection"):
        done = run.metadata[asset]
        compared = {key: value for key, value in planned[asset].items() if key in done and key != "documents"}
        assert {key: done[key] for key in compared} == compared, asset
    only_planned = planned["embeddings"].keys() - run.metadata["embeddings"].keys()
    assert only_planned == {"dimensions", "endpoint_not_asked", "estimated_cost_usd"}
    assert planned["embeddings"]["dimensions"] == 256
    assert planned["embeddings"]["endpoint_not_asked"] is None
    assert planned["embeddings"]["estimated_cost_usd"] == run.metadata["embeddings"]["cost_usd"] == 0
    assert (planned["base_generation"] or "none") == run.metadata["deduped_documents"]["base_generation"]


def test_a_plan_names_the_documents_of_every_change(promoted: Pipeline) -> None:
    change_everything(promoted)
    documents = plan(promoted)["deduped_documents"]["documents"]
    assert {kind: [entry["document_id"] for entry in entries] for kind, entries in documents.items()} == {
        "added": ["filesystem:known_paragraph.md", "filesystem:new.md"],
        "updated": ["filesystem:topic00.md"],
        "moved": ["filesystem:moved.md"],
        "duplicate": ["filesystem:copy.md", "filesystem:new_copy.md"],
        "deleted": ["filesystem:topic01.md"],
        "quarantined": ["filesystem:topic09.md", "filesystem:torn.pdf"],
        "omitted": [],
    }
    assert documents["moved"][0]["moved_from"] == "filesystem:topic02.md"
    assert [entry["duplicate_of"] for entry in documents["duplicate"]] == [
        "filesystem:topic04.md",
        "filesystem:new.md",
    ]
    assert [entry["last_good_version_served"] for entry in documents["quarantined"]] == [True, False]
    said = promoted.succeed("plan")
    assert "moved        filesystem:moved.md (from filesystem:topic02.md)" in said
    assert "duplicate    filesystem:new_copy.md (of filesystem:new.md)" in said


def test_a_plan_without_changes_says_so(promoted: Pipeline) -> None:
    planned = plan(promoted)
    assert planned["staging_collection"]["written"] is False
    assert planned["embeddings"]["num_texts"] == 0
    assert "production is up to date" in promoted.succeed("plan")


def test_a_plan_gives_the_reason_for_a_full_rebuild(promoted: Pipeline) -> None:
    promoted.configure(RAG_CHUNK_SIZE="48")
    deduped = plan(promoted)["deduped_documents"]
    assert (deduped["full_rebuild"], deduped["differing_settings"]) == (True, ["chunk_size"])
    assert "chunk_size changed" in promoted.succeed("plan")


def test_a_plan_shows_a_refusal_of_deletions_with_its_token_until_it_is_approved(promoted: Pipeline) -> None:
    for number in range(8, NUM_DOCUMENTS):
        promoted.remove(f"topic{number:02}.md")
    refusal = plan(promoted)["deduped_documents"]["deletion_refused"]
    assert refusal["message"] in promoted.succeed("plan")
    assert "not refused by a refresh yet" in promoted.succeed("approve", refusal["token"])
    planned = plan(promoted)
    assert planned["deduped_documents"]["deletion_refused"] is None
    assert planned["deduped_documents"]["num_deleted"] == 12


def test_a_plan_reports_a_hold_under_all_settings(rolled_back: Pipeline) -> None:
    held = rolled_back.production().held
    assert plan(rolled_back)["production_collection"]["held_generation"] == held
    hold = rolled_back.production().hold
    shown = rolled_back.succeed("plan")
    assert f"HELD           {hold}\n" in shown
    assert f"{held} is out of service" in shown
    rolled_back.configure(RAG_CHUNK_SIZE="48")
    assert plan(rolled_back)["production_collection"]["held_generation"] == held


def test_a_plan_fails_with_the_error_of_a_refresh_that_would_stop_at_once(empty: Pipeline) -> None:
    shutil.rmtree(empty.documents)
    code, _, said = empty.command("plan")
    assert code == 1
    assert "no source could be read" in said
    empty.documents.mkdir()
    assert "no readable document in filesystem" in empty.command("plan")[2]
    assert not empty.state_dir.exists()


def test_a_plan_asks_no_endpoint_and_counts_cached_texts(promoted: Pipeline) -> None:
    with FakeOpenAI() as server:
        promoted.configure(
            OPENAI_API_KEY=API_KEY,
            OPENAI_BASE_URL=server.base_url,
            RAG_EMBEDDING_MODEL="tiny-embedding",
            RAG_TOKENIZER="wordllama",
        )
        planned = plan(promoted)
        assert server.requests == []
        # The keys of the cache hold the dimension, which only the endpoint knows.
        assert planned["embeddings"]["num_texts"] > 0
        assert planned["embeddings"]["num_embedded"] is None
        assert planned["embeddings"]["dimensions"] is None
        assert "at most" in promoted.succeed("plan")
        assert planned["deduped_documents"]["full_rebuild"] is True

        promoted.succeed("approve", token_in(promoted.refresh().message))
        run = promoted.refresh().checked()
        assert run.metadata["embeddings"]["num_texts"] == planned["embeddings"]["num_texts"]
        promoted.write("new.md", text_about("new"))
        requests = len(server.requests)
        planned = plan(promoted)
        assert len(server.requests) == requests
        assert planned["deduped_documents"]["full_rebuild"] is False
        assert planned["embeddings"]["num_embedded"] == planned["embeddings"]["num_texts"] > 0
        assert planned["embeddings"]["estimated_cost_usd"] is None
        assert planned["embeddings"]["dimensions"] == 32
        assert "with tiny-embedding, 32 dimensions (0 more" in promoted.succeed("plan")
        assert "at an unknown price" in promoted.succeed("plan")


def test_the_cost_covers_only_texts_missing_in_the_cache(empty: Pipeline) -> None:
    empty.configure(
        OPENAI_API_KEY=API_KEY, RAG_EMBEDDING_MODEL="text-embedding-3-large", RAG_TOKENIZER="wordllama"
    )
    embedded = plan(empty)["embeddings"]
    assert embedded["num_tokens"] > 0
    assert embedded["estimated_cost_usd"] == pytest.approx(embedded["num_tokens"] * 0.13 / 1_000_000)


def test_a_plan_reports_a_missing_benchmark(empty: Pipeline) -> None:
    assert set(plan(empty)["eval_report"].values()) == {None}
    assert "BENCHMARK" not in empty.succeed("plan")
    empty.benchmark.unlink()
    said = plan(empty)["eval_report"]
    assert f"no benchmark file at {empty.benchmark}" in said["no_benchmark"]
    assert said["benchmark_does_not_fit"] is None
    assert f"NO BENCHMARK   the gate would block this refresh: {said['no_benchmark']}" in empty.succeed(
        "plan"
    )


def test_a_plan_reports_a_benchmark_for_other_documents(promoted: Pipeline) -> None:
    promoted.write_benchmark_for([0, 30])
    assert plan(promoted)["eval_report"]["benchmark_does_not_fit"] is None
    promoted.remove("topic00.md")
    said = plan(promoted)["eval_report"]
    assert "2 of 2 expected documents are missing" in said["benchmark_does_not_fit"]
    assert said["no_benchmark"] is None
    assert f"BENCHMARK      the gate would block this refresh: {said['benchmark_does_not_fit']}" in (
        promoted.succeed("plan")
    )
