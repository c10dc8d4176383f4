"""Refreshes after changes, deletions, moves and corruptions of documents, and refused refreshes."""

import pytest
from dagster import DagsterResourceFunctionError

from rag_assets.defs.metadata.plots import plotted
from rag_assets_tests.pipeline import (
    NUM_DOCUMENTS,
    THRESHOLD,
    Pipeline,
    assert_same_points,
    text_about,
    token_in,
)


def test_an_unchanged_refresh_parses_embeds_and_writes_nothing(promoted: Pipeline) -> None:
    promoted.refresh().checked()  # copied files are read once
    files = promoted.files_of_production()
    run = promoted.refresh().checked()
    assert (run.metadata["raw_documents"]["num_read"], run.metadata["raw_documents"]["num_parsed"]) == (0, 0)
    assert run.metadata["deduped_documents"]["num_unchanged"] == NUM_DOCUMENTS
    assert run.metadata["chunks"]["num_chunks"] == 0
    assert run.metadata["embeddings"]["num_texts"] == 0
    assert run.metadata["staging_collection"]["written"] is False
    assert run.metadata["eval_report"]["num_embedded"] == 0
    assert run.metadata["production_collection"]["outcome"] == "unchanged"
    assert promoted.files_of_production() == files


def test_the_records_of_five_refreshes_are_kept(promoted: Pipeline) -> None:
    for number in range(4):
        promoted.write("more.md", text_about(number))
        promoted.refresh().checked()
    with promoted.knowledge_base() as knowledge_base:
        for asset in ("raw_documents", "deduped_documents", "staging_collection", "eval_report"):
            assert len(knowledge_base.artifacts.kept(asset)) == 5, asset
    assert len(promoted.json("trace", "topic05.md", "--json")["history"]) == 5


def test_touching_every_file_changes_nothing(promoted: Pipeline) -> None:
    for path in promoted.documents.iterdir():
        promoted.touch(path)
    run = promoted.refresh().checked()
    assert run.metadata["raw_documents"]["num_parsed"] == 0
    assert run.metadata["staging_collection"]["written"] is False


def test_a_refresh_embeds_only_new_texts_and_equals_a_full_build(promoted: Pipeline) -> None:
    folder = promoted.documents
    with (folder / "topic00.md").open("a") as file:
        file.write("\nOne more paragraph, about nothing in particular.\n")
    promoted.touch(folder / "topic00.md")
    promoted.write("new.md", text_about("new"))
    promoted.remove("topic01.md")
    (folder / "topic02.md").rename(folder / "moved.md")
    promoted.write("copy.md", (folder / "topic04.md").read_bytes())
    before = {point.payload["text"] for point in promoted.points().values()}
    run = promoted.refresh().checked()
    counts = run.metadata["deduped_documents"]
    kinds = ("added", "updated", "moved", "duplicate", "deleted", "quarantined")
    assert [counts[f"num_{kind}"] for kind in kinds] == [1, 1, 1, 1, 1, 0]
    after = promoted.points()
    assert run.metadata["embeddings"]["num_embedded"] == len(
        {p.payload["text"] for p in after.values()} - before
    )
    served = promoted.served()
    assert {f"filesystem:{name}.md" for name in ("moved", "copy", "topic04", "new")} <= served
    assert not {"filesystem:topic01.md", "filesystem:topic02.md"} & served
    assert_same_points(after, promoted.points_built_from_nothing())


def test_reverting_an_edit_embeds_nothing(
    promoted: Pipeline,
) -> None:
    path = promoted.documents / "topic05.md"
    first, export = path.read_bytes(), promoted.export()
    promoted.write("topic05.md", text_about("another text"))
    promoted.refresh().checked()
    assert promoted.export() != export
    promoted.write("topic05.md", first)
    run = promoted.refresh().checked()
    assert promoted.export() == export
    assert run.metadata["embeddings"]["num_embedded"] == 0


def test_a_failed_gate_leaves_production_unchanged_and_discards_the_candidate(promoted: Pipeline) -> None:
    export, generations = promoted.export(), promoted.generations()
    promoted.write("topic06.md", text_about("a change that is not good enough"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    failed = promoted.refresh()
    assert not failed.success
    assert failed.gate_passed is False
    assert "below the threshold 0.999" in failed.gate_description
    assert "production_collection" not in failed.steps
    assert promoted.export() == export
    assert promoted.generations() == generations
    evaluation = promoted.status()["last_refresh"]["evaluation"]
    assert evaluation["gate_passed"] is False
    assert evaluation["worst_queries"][0]["expected_docs"] == ["topic00.md", "never_written.md"]
    assert "GATE FAILED    Recall@5" in promoted.succeed("status")
    alone = promoted.materialize("production_collection")
    assert "below the threshold 0.999" in alone.message
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    retried = promoted.materialize(retry_of=failed)
    assert "different settings (eval_threshold)" in retried.message
    assert promoted.export() == export
    again = promoted.refresh().checked()
    assert again.metadata["embeddings"]["num_embedded"] == 0
    assert promoted.export() != export


def test_a_job_without_checks_is_stopped_before_the_promotion(promoted: Pipeline) -> None:
    export = promoted.export()
    promoted.write("topic06.md", text_about("a change that is not good enough"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    run = promoted.materialize(with_checks=False)
    assert run.gate_passed is None
    assert "below the threshold 0.999" in run.failures["production_collection"]
    assert promoted.export() == export


def test_an_empty_folder_and_a_missing_one_delete_nothing(promoted: Pipeline) -> None:
    export = promoted.export()
    aside = promoted.home / "aside"
    promoted.documents.rename(aside)
    assert "no source could be read" in promoted.refresh().message
    promoted.documents.mkdir()
    promoted.refresh().checked()
    assert promoted.export() == export


@pytest.mark.parametrize("way", ["command", "launchpad"])
def test_an_approval_allows_exactly_one_set_of_deletions(promoted: Pipeline, way: str) -> None:
    export = promoted.export()
    for number in range(8, NUM_DOCUMENTS):
        promoted.remove(f"topic{number:02}.md")
    refused = promoted.refresh()
    assert refused.outcomes["deduped_documents"] == "refused"
    token = token_in(refused.message)
    assert promoted.export() == export
    promoted.write_benchmark_for(range(8))
    promoted.remove("topic07.md")
    assert "refused to delete 13 of 20" in promoted.refresh(launchpad={"approve_deletions": token}).message
    promoted.write("topic07.md", text_about(7))
    if way == "command":
        promoted.succeed("approve", token)
        run = promoted.refresh()
    else:
        run = promoted.refresh(launchpad={"approve_deletions": token})
    assert run.checked().metadata["deduped_documents"]["num_deleted"] == 12
    assert promoted.served() == {f"filesystem:topic{number:02}.md" for number in range(8)}


def test_a_chunk_size_of_the_launchpad_applies_to_one_run(promoted: Pipeline) -> None:
    run = promoted.refresh(launchpad={"chunk_size": 32}).checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert run.metadata["raw_documents"]["num_parsed"] == 0
    assert max(point.payload["token_count"] for point in promoted.points().values()) <= 32
    for asset in ("chunks", "embeddings", "staging_collection"):
        message = promoted.materialize(asset).message
        assert "different settings (chunk_size)" in message or "compared with production" in message


def test_a_chunker_of_the_launchpad_rebuilds_from_stored_texts(promoted: Pipeline) -> None:
    promoted.write(
        "parts.md", "".join(f"# Part {part}\n\n{text_about(part)[2:]}\n" for part in range(40, 46))
    )
    run = promoted.refresh(launchpad={"chunker": "section"}).checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert run.metadata["raw_documents"]["num_parsed"] == 1
    beginnings = [point.payload["text"][:6] for point in promoted.points().values()]
    assert beginnings.count("# Part") == 6
    assert "RAG_CHUNKER is 'heading'" in promoted.refresh(launchpad={"chunker": "heading"}).message


def test_a_new_benchmark_or_threshold_only_repeats_the_evaluation(promoted: Pipeline) -> None:
    files = promoted.files_of_production()
    promoted.write_benchmark_for(range(5))
    promoted.configure(RAG_EVAL_THRESHOLD="0.6")
    run = promoted.refresh().checked()
    assert run.metadata["eval_report"][plotted("num_queries")] == 5
    assert run.metadata["raw_documents"]["num_parsed"] == 0
    assert run.metadata["embeddings"]["num_texts"] == 0
    after = promoted.files_of_production()
    measured = {path for path in after if path.endswith("/measured.json")}  # with the new questions
    assert {path: digest for path, digest in after.items() if path not in measured} == {
        path: digest for path, digest in files.items() if path not in measured
    }


def test_a_rollback_holds_production_until_resume(promoted: Pipeline) -> None:
    newest = promoted.export()
    promoted.succeed("rollback")
    older = promoted.export()
    assert older != newest
    held = promoted.refresh().checked()
    assert held.metadata["production_collection"]["outcome"] == "held"
    assert promoted.export() == older
    promoted.succeed("resume")
    promoted.refresh().checked()
    assert promoted.export() == newest


def test_a_token_in_the_launchpad_that_fits_nothing_is_refused_by_name(promoted: Pipeline) -> None:
    export = promoted.export()
    promoted.write("new.md", text_about("new"))
    run = promoted.refresh(launchpad={"approve_deletions": "0123456789abcdef"})
    assert run.message.startswith("no refusal has the token 0123456789abcdef")
    assert promoted.export() == export


def test_a_malformed_token_in_the_launchpad_is_refused_before_the_first_step(promoted: Pipeline) -> None:
    with pytest.raises(DagsterResourceFunctionError) as error:
        promoted.refresh(launchpad={"approve_deletions": "a token"})
    assert "'a token' is not a token" in str(error.value.__cause__)


def test_a_token_in_the_launchpad_for_another_set_is_named_with_the_right_one(promoted: Pipeline) -> None:
    promoted.remove(*(f"topic{number:02}.md" for number in range(7, NUM_DOCUMENTS)))
    message = promoted.refresh(launchpad={"approve_deletions": "0123456789abcdef"}).message
    assert "0123456789abcdef" in message
    assert token_in(message) != "0123456789abcdef"
    promoted.write_benchmark_for(range(7))
    promoted.refresh(launchpad={"approve_deletions": f" {token_in(message).upper()} "}).checked()
    assert len(promoted.served()) == 7
