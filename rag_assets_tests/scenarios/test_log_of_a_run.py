"""The log of a run in Dagster: one sentence per step, and the reason of a verdict without a chain of errors."""

import re

import dagster as dg

from rag_assets_tests.pipeline import Pipeline, Run, text_about

_DIGEST = re.compile(r"[0-9a-f]{32}")


def said_by_steps(pipeline: Pipeline, run: Run) -> dict[str, list[str]]:
    """Step -> its messages, without the events of Dagster itself."""
    said: dict[str, list[str]] = {}
    for entry in pipeline.instance.all_logs(run.run_id):
        if entry.dagster_event is None:
            said.setdefault(entry.step_key or "", []).append(entry.user_message)
    return said


def test_every_step_says_one_sentence(promoted: Pipeline) -> None:
    promoted.refresh().checked()  # the copied files have new version tokens
    promoted.write("new.md", text_about("new"))
    promoted.write("broken.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    promoted.remove("topic05.md")
    run = promoted.refresh().checked()
    said = said_by_steps(promoted, run)
    assert {step: len(lines) for step, lines in said.items()} == dict.fromkeys(run.steps, 1)
    sentences = {step: lines[0] for step, lines in said.items()}
    assert sentences["raw_documents"] == "21 documents, 2 read and parsed, 1 quarantined"
    assert sentences["deduped_documents"] == "1 added, 1 deleted, 1 quarantined, 19 unchanged"
    assert re.fullmatch(r"\d+ chunks, \d+ tokens", sentences["chunks"])
    assert re.fullmatch(r"\d+ texts embedded with \w+", sentences["embeddings"])
    assert re.fullmatch(r"candidate of \d+ chunks: \d+ added, \d+ deleted", sentences["staging_collection"])
    assert re.fullmatch(
        r"21 questions: MRR 0\.\d{3}, nDCG@10 0\.\d{3}, \d+\.\d ms per search", sentences["eval_report"]
    )
    assert re.fullmatch(r"live: 20 documents, \d+ chunks", sentences["production_collection"])
    assert not any(_DIGEST.search(line) for line in sentences.values())


def test_an_unchanged_refresh_says_so_at_each_step(promoted: Pipeline) -> None:
    copied = said_by_steps(promoted, promoted.refresh().checked())
    assert copied["raw_documents"] == ["20 documents, 20 read again, with the same bytes"]
    said = said_by_steps(promoted, promoted.refresh().checked())
    assert said["raw_documents"] == ["20 documents, none changed since the last reading"]
    assert said["deduped_documents"] == ["20 unchanged"]
    assert said["chunks"] == ["no new text"]
    assert said["embeddings"] == ["nothing to embed"]
    assert said["staging_collection"] == ["nothing to write: production is the candidate"]
    assert said["production_collection"] == ["unchanged"]


def test_a_failed_gate_ends_with_its_verdict_and_no_error_of_dagster(promoted: Pipeline) -> None:
    promoted.write("topic03.md", text_about("changed"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    run = promoted.refresh()
    assert run.gate_passed is False
    assert "is below the threshold 0.999" in run.failures["eval_report_recall_gate"]
    assert run.outcomes["eval_report_recall_gate"] == "blocked"
    for entry in promoted.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        assert entry.dagster_event is not None
        error = entry.dagster_event.step_failure_data.error
        assert error is not None
        assert (error.cls_name, error.cause, error.context) == ("Failure", None, None)


def test_a_refusal_has_no_chain_of_errors(promoted: Pipeline) -> None:
    promoted.remove(*(f"topic{number:02}.md" for number in range(4, 20)))
    run = promoted.refresh()
    assert run.outcomes == {"deduped_documents": "refused"}
    (entry,) = promoted.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert entry.dagster_event is not None
    error = entry.dagster_event.step_failure_data.error
    assert error is not None
    assert (error.cls_name, error.cause) == ("Failure", None)
