"""An expected error is one clear line on standard error, never a stack trace."""

import json
from pathlib import Path

import pytest

from rag_assets_tests.pipeline import Pipeline, text_about
from rag_assets_tests.slack_receiver import SlackReceiver


def one_line(pipeline: Pipeline, *arguments: str) -> str:
    code, output, errors = pipeline.command(*arguments)
    assert code == 1
    assert output == ""
    (line,) = errors.splitlines()
    return line


@pytest.mark.parametrize(
    "expression",
    ["chunk_index=" + "9" * 26, "path=\udcff", "modified_at>=0001-01-01T00:00:00+14:00", "nothing"],
)
def test_an_impossible_filter_is_named(promoted: Pipeline, expression: str) -> None:
    assert expression.split("=")[0].rstrip(">") in one_line(
        promoted, "search", "anything", "--filter", expression
    )


@pytest.mark.parametrize("asset", ["raw_documents", "deduped_documents", "eval_report"])
@pytest.mark.parametrize("damage", ["emptied", "garbled", "removed"])
def test_status_answers_without_readable_artifacts(promoted: Pipeline, asset: str, damage: str) -> None:
    for path in (promoted.state_dir / "artifacts").glob(f"*/{asset}/*/data.parquet"):
        if damage == "removed":
            path.unlink()
        else:
            path.write_bytes(b"" if damage == "emptied" else b"PAR1" + bytes(100) + b"PAR1")
    status = promoted.status()
    assert status["production"]["num_documents"] == 20
    assert status["last_refresh"] is None


def test_a_state_folder_that_is_a_file_is_named(promoted: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    promoted.configure(RAG_STATE_DIR=str(tmp_path / "file"))
    assert "RAG_STATE_DIR" in one_line(promoted, "status")


def test_an_env_file_that_is_not_text_is_named(promoted: Pipeline) -> None:
    (promoted.home / ".env").write_bytes(b"RAG_COLLECTION=\xff\xfe")
    assert ".env" in one_line(promoted, "status")


@pytest.mark.parametrize("line", ["[" * 100_000, json.dumps({"query": "\ud800", "expected_docs": ["a"]})])
def test_an_unusable_benchmark_line_is_named(promoted: Pipeline, line: str) -> None:
    promoted.benchmark.write_text(line + "\n")
    _, output, _ = promoted.command("doctor")
    assert "FAIL  benchmark" in output
    assert "line 1" in output
    run = promoted.refresh()
    assert run.gate_passed is False
    assert "line 1" in run.gate_description


def test_doctor_fails_on_a_benchmark_for_other_documents(promoted: Pipeline) -> None:
    assert "ok    benchmark" in promoted.succeed("doctor")
    promoted.benchmark.write_text('{"query": "Which?", "expected_docs": ["elsewhere.md"]}\n')
    code, output, _ = promoted.command("doctor")
    assert code == 1
    assert "FAIL  benchmark: compared with production, the benchmark does not fit" in output


def test_before_the_first_promotion_doctor_compares_the_benchmark_with_the_listed_documents(
    empty: Pipeline,
) -> None:
    (empty.documents / "hr").mkdir()
    (empty.documents / "topic05.md").rename(empty.documents / "hr" / "topic05.md")
    empty.write(
        "it/topic05.md", text_about("another")
    )  # its texts are not known, so the name may still be unique
    assert "ok    benchmark" in empty.command("doctor")[1]
    empty.benchmark.write_text('{"query": "Which?", "expected_docs": ["elsewhere.md"]}\n')
    code, output, _ = empty.command("doctor")
    assert code == 1
    assert "FAIL  benchmark: compared with the listed documents, the benchmark does not fit" in output
    empty.documents.rename(empty.home / "away")
    assert "ok    benchmark" in empty.command("doctor")[1], "nothing is listed to compare with"


def test_doctor_does_not_report_an_untried_webhook_as_ok(empty: Pipeline) -> None:
    assert "-     slack: no webhook is set, so failures are not posted" in empty.command("doctor")[1]
    empty.configure(SLACK_WEBHOOK_URL="https://hooks.slack.com/services/T0/B0/secret")
    assert (
        "-     slack: a webhook is set; `rag-assets doctor --send-test-alert` tries it"
        in empty.command("doctor")[1]
    )


def test_doctor_sends_a_test_message_on_request(empty: Pipeline) -> None:
    with SlackReceiver() as slack:
        empty.configure(SLACK_WEBHOOK_URL=slack.url, RAG_DEPLOYMENT="staging")
        assert (
            "ok    slack: the test message was delivered" in empty.command("doctor", "--send-test-alert")[1]
        )
        (text,) = slack.texts
        assert "*Test message*" in text
        assert "staging" in text
        slack.status = 404
        code, output, errors = empty.command("doctor", "--send-test-alert")
    assert code == 1
    assert (
        "FAIL  slack: the test message was not delivered: Slack refused the message with status 404" in output
    )
    assert "secret-of-the-webhook" not in output + errors
