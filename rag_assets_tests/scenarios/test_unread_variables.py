"""A misspelled variable is reported on the terminal, in the log of a run, and by `doctor`."""

import logging

import pytest

from rag_assets_tests.pipeline import Pipeline

MESSAGE = "Unknown setting RAG_DOCUMENT_DIR; did you mean RAG_DOCUMENTS_DIR?"


@pytest.fixture(params=["environment", ".env"])
def misspelled(request: pytest.FixtureRequest, empty: Pipeline) -> Pipeline:
    """A knowledge base before its first refresh, with a misspelled variable."""
    if request.param == "environment":
        empty.configure(RAG_DOCUMENT_DIR="/a/secret")
    else:
        (empty.home / ".env").write_text("RAG_DOCUMENT_DIR=/a/secret\n", encoding="utf-8")
    return empty


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_command_reports_it_once_on_standard_error(misspelled: Pipeline, command: str) -> None:
    _, output, errors = misspelled.command(command, "--json")
    assert "raw_documents" in output or "production" in output
    assert [line for line in errors.splitlines() if "RAG_" in line] == [f"rag-assets: {MESSAGE}"]
    assert "secret" not in output + errors


def test_doctor_reports_it_as_a_failure(misspelled: Pipeline) -> None:
    code, output, errors = misspelled.command("doctor")
    assert code == 1
    assert f"FAIL  variables: {MESSAGE}" in output.splitlines()
    assert "RAG_" not in errors
    assert "secret" not in output + errors


def test_a_refresh_logs_one_warning_about_it(misspelled: Pipeline) -> None:
    run = misspelled.materialize("raw_documents", with_checks=False).checked()
    log = misspelled.instance.all_logs(run.run_id)
    assert [entry.user_message for entry in log if entry.level == logging.WARNING] == [MESSAGE]
    assert not any("secret" in entry.message for entry in log)


def test_known_variables_are_not_reported(empty: Pipeline) -> None:
    assert empty.command("status")[2] == ""
    assert "ok    variables: all RAG_ variables are known" in empty.command("doctor")[1]


def test_a_source_that_is_set_up_but_not_asked_is_named_once(empty: Pipeline) -> None:
    empty.configure(RAG_S3_BUCKET="secret")
    for command in ("plan", "status", "doctor"):
        output = empty.command(command)[1]
        assert output.count("NOT ASKED") == output.count("source s3: RAG_S3_BUCKET is set") == 1, command
        assert "secret" not in output
    empty.configure(RAG_SOURCES="filesystem,s3")
    assert "NOT ASKED" not in empty.command("status")[1]
