"""A misspelt variable is told wherever somebody may look: on the terminal, in the log of a run, by `doctor`."""

import logging

import pytest

from rag_assets_tests.pipeline import Pipeline

TOLD = "Unknown setting RAG_DOCUMENT_DIR; did you mean RAG_DOCUMENTS_DIR?"


@pytest.fixture(params=["environment", ".env"])
def misspelt(request: pytest.FixtureRequest, empty: Pipeline) -> Pipeline:
    """Nothing was refreshed; a variable is misspelt."""
    if request.param == "environment":
        empty.configure(RAG_DOCUMENT_DIR="/a/secret")
    else:
        (empty.home / ".env").write_text("RAG_DOCUMENT_DIR=/a/secret\n", encoding="utf-8")
    return empty


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_command_reports_it_once_on_standard_error(misspelt: Pipeline, command: str) -> None:
    code, output, errors = misspelt.command(command, "--json")
    assert code == 0
    assert [line for line in errors.splitlines() if "RAG_" in line] == [f"rag-assets: {TOLD}"]
    assert "secret" not in output + errors


def test_doctor_reports_it_as_a_failure(misspelt: Pipeline) -> None:
    code, output, errors = misspelt.command("doctor")
    assert code == 1
    assert f"FAIL  variables: {TOLD}" in output.splitlines()
    assert "RAG_" not in errors
    assert "secret" not in output + errors


def test_a_refresh_logs_one_warning_about_it(misspelt: Pipeline) -> None:
    run = misspelt.materialize("raw_documents", with_checks=False).checked()
    log = misspelt.instance.all_logs(run.run_id)
    assert [entry.user_message for entry in log if entry.level == logging.WARNING] == [TOLD]
    assert not any("secret" in entry.message for entry in log)


def test_known_variables_are_not_reported(empty: Pipeline) -> None:
    code, _, errors = empty.command("status")
    assert (code, errors) == (0, "")
    assert "ok    variables: all RAG_ variables are known" in empty.command("doctor")[1]
