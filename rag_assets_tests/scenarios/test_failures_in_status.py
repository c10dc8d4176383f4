"""`rag-assets status` explains every refresh without a promotion."""

import shutil

import pytest

from rag_assets.artifacts import last_failure as failures
from rag_assets.embedders.wordllama import WordLlamaEmbedder
from rag_assets_tests.pipeline import Pipeline, text_about


def test_a_refused_deletion_is_shown_with_its_token_until_a_refresh_succeeds(promoted: Pipeline) -> None:
    assert promoted.status()["last_failure"] is None
    assert "UNFINISHED" not in promoted.succeed("status")
    for number in range(4, 20):
        promoted.remove(f"topic{number:02}.md")
    run = promoted.refresh()
    assert not run.success
    failure = promoted.status()["last_failure"]
    assert failure["step"] == "deduped_documents"
    assert failure["message"] == run.failures["deduped_documents"]
    said = promoted.succeed("status")
    assert "REFUSED        deduped_documents, " in said
    assert "rag-assets approve " in said
    assert "UNFINISHED" not in said

    for number in range(4, 20):
        promoted.write(f"topic{number:02}.md", text_about(number))
    promoted.refresh().checked()
    assert promoted.status()["last_failure"] is None
    assert "UNFINISHED" not in promoted.succeed("status")


def test_a_missing_folder_is_reported(promoted: Pipeline) -> None:
    shutil.rmtree(promoted.documents)
    assert not promoted.refresh().success
    said = promoted.succeed("status")
    assert "FAILED         raw_documents, " in said
    assert "point RAG_DOCUMENTS_DIR to another folder" in said


def test_an_unforeseen_error_is_reported_without_its_message(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a secret")

    promoted.write("topic03.md", text_about("another"))
    monkeypatch.setattr(WordLlamaEmbedder, "embed_documents", fail)
    assert not promoted.refresh().success
    said = promoted.succeed("status")
    assert "FAILED         raw_documents, " in said
    assert "KeyError" in said
    assert "secret" not in said


def test_an_incomplete_refresh_is_unfinished_until_its_promotion(promoted: Pipeline) -> None:
    promoted.write("topic03.md", text_about("another"))
    promoted.materialize("raw_documents", "deduped_documents", "chunks").checked()
    assert "UNFINISHED     last step chunks; nothing of it went live" in promoted.succeed("status")
    promoted.materialize("embeddings", "staging_collection", "eval_report").checked()
    said = promoted.succeed("status")
    assert "NOT LIVE       " in said
    assert "UNFINISHED" not in said
    promoted.materialize("production_collection").checked()
    assert "NOT LIVE" not in promoted.succeed("status")


def test_status_shows_a_failed_gate_without_referring_to_itself(promoted: Pipeline) -> None:
    promoted.write("topic03.md", text_about("another"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    assert not promoted.refresh().success
    said = promoted.succeed("status")
    assert "is below the threshold 0.999" in said
    assert "rag-assets status" not in said


def test_a_held_promotion_is_shown_as_held_and_a_corrupt_record_is_ignored(rolled_back: Pipeline) -> None:
    said = rolled_back.succeed("status")
    assert "HELD" in said
    assert "UNFINISHED" not in said
    record = next(rolled_back.state_dir.glob("artifacts/*")) / "last_failure.json"
    record.write_text('{"step": ')
    assert failures.FailureRecord(record.parent).get() is None
    assert rolled_back.status()["last_failure"] is None
