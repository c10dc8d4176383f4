"""`rag-assets diff`: what differs between production and another generation."""

from typing import Any

import pytest

from rag_assets_tests.pipeline import THRESHOLD, Pipeline, text_about
from rag_assets_tests.scenarios.conftest import CHANGED


def differences(pipeline: Pipeline, *arguments: str) -> dict[str, Any]:
    return pipeline.json("diff", *arguments, "--json")


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {key[4:]: number for key, number in report.items() if key.startswith("num_") and number}


def documents(report: dict[str, Any]) -> dict[str, str]:
    return {one["document_id"].removeprefix("filesystem:"): one["change"] for one in report["documents"]}


@pytest.fixture
def with_candidate(promoted: Pipeline) -> Pipeline:
    """A kept candidate with one document of each kind of change."""
    edited = text_about(7).replace("\n\n", "\n\nEdited. ", 1)
    promoted.configure(RAG_KEEP_FAILED_CANDIDATE="true", RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic07.md", edited)
    promoted.write("new.md", text_about("new"))
    promoted.write("copy.md", text_about(5))
    (promoted.documents / "topic08.md").rename(promoted.documents / "moved.md")
    promoted.remove("topic09.md")
    assert not promoted.refresh().success
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    return promoted


def test_the_previous_generation_is_compared_by_default(promoted: Pipeline) -> None:
    report = differences(promoted)
    state = promoted.production()
    assert (report["from"]["generation"], report["to"]["generation"]) == (state.previous, state.production)
    assert documents(report) == {CHANGED: "changed"}
    assert counts(report)["unchanged"] == 19
    assert report == differences(promoted, "previous") == differences(promoted, str(state.previous))


def test_a_candidate_shows_what_it_would_change(with_candidate: Pipeline) -> None:
    report = differences(with_candidate, "candidate")
    assert report["from"]["generation"] == with_candidate.production().production
    assert documents(report) == {
        "copy.md": "added",
        "moved.md": "moved",
        "new.md": "added",
        "topic07.md": "changed",
        "topic09.md": "removed",
    }
    chunks = {
        one["document_id"].removeprefix("filesystem:"): (len(one["chunks_added"]), len(one["chunks_removed"]))
        for one in report["documents"]
    }
    assert chunks["copy.md"] == chunks["moved.md"] == (0, 0)
    whole = report["documents"][2]["chunks_added"]
    assert [chunk["chunk_index"] for chunk in whole] == list(range(len(whole)))
    assert 0 < chunks["topic07.md"][0] < len(whole), "only some chunks of an edited document differ"
    assert report["num_chunks_added"] == sum(added for added, _ in chunks.values())
    assert report["num_chunks_removed"] == sum(removed for _, removed in chunks.values())


def test_counts_come_first_and_lists_are_bounded(promoted: Pipeline) -> None:
    for number in range(23):
        promoted.write(f"more{number:02}.md", text_about(f"more {number}"))
    promoted.refresh().checked()
    lines = promoted.succeed("diff").splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["from", "to", "documents", "chunks"]
    assert lines[2] == "documents      23 added, 20 unchanged"
    assert sum(line.startswith("added ") for line in lines) == 20
    assert lines[-1].strip() == "and 3 more documents, all with --json"
    assert len(differences(promoted)["documents"]) == 23


def test_a_rebuild_shows_the_settings_and_the_documents_with_other_chunks(promoted: Pipeline) -> None:
    promoted.configure(RAG_CHUNK_SIZE="32")
    promoted.write("short.md", "Short.\n")
    promoted.refresh().checked()
    promoted.configure(RAG_CHUNK_SIZE="24")
    promoted.refresh().checked()
    report = differences(promoted)
    assert report["differing_settings"] == ["chunk_size"]
    assert (report["num_rechunked"], report["num_unchanged"]) == (20, 1)
    assert "settings       chunk_size differ" in promoted.succeed("diff")
    assert report["to"]["num_chunks"] - report["from"]["num_chunks"] == (
        report["num_chunks_added"] - report["num_chunks_removed"]
    )


def test_other_metadata_are_named(promoted: Pipeline) -> None:
    text = "# About it\n\nThe same text.\n"
    promoted.write("page.md", f"---\nyear: 2023\n---\n{text}")
    promoted.refresh().checked()
    promoted.write("page.md", f"---\nyear: 2024\n---\n{text}")
    promoted.refresh().checked()
    assert documents(differences(promoted)) == {"page.md": "payload"}
    assert "documents      1 with other metadata, 20 unchanged" in promoted.succeed("diff")


def test_after_a_rollback_the_generation_taken_out_is_compared(promoted: Pipeline) -> None:
    state = promoted.production()
    promoted.succeed("rollback", "--reason", "a test")
    report = differences(promoted)
    assert (report["from"]["generation"], report["to"]["generation"]) == (state.previous, state.production)
    assert documents(report) == {CHANGED: "changed"}
    promoted.succeed("resume")
    report = differences(promoted)
    assert (report["to"]["generation"], report["to"]["role"]) == (state.production, "rolled_back")
    taken_out = f"generation {state.production}, taken out of production by a rollback"
    assert f"to             {taken_out}" in promoted.succeed("diff")
    for command in ("search", "show"):
        assert taken_out in " ".join(
            promoted.succeed(command, "topic05.md", "--generation", str(state.production)).split()
        )


def test_without_another_generation_there_is_nothing_to_compare(empty: Pipeline) -> None:
    assert "nothing is in production yet (knowledge base" in empty.command("diff")[2]
    empty.refresh().checked()
    code, _, errors = empty.command("diff")
    assert (code, "there is no generation to compare with" in errors) == (1, True)
    assert "is production itself" in empty.command("diff", "production")[2]
    assert "there is no generation 'x'. Existing: " in empty.command("diff", "x")[2]
