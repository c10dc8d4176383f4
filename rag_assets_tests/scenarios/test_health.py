"""`status`, `plan` and `status --nagios` exit by what they found."""

import importlib

import pytest

from rag_assets.cli.exit_codes import ExitCode
from rag_assets.errors import VectorStoreUnavailable
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.pipeline import Pipeline, text_about

EMBEDDINGS = importlib.import_module("rag_assets.defs.assets.embeddings")


def codes(pipeline: Pipeline) -> tuple[int, int]:
    """Return the exit codes of `status` and `plan`, which are those of `--json` too."""
    found = pipeline.command("status")[0], pipeline.command("plan")[0]
    assert found == (pipeline.command("status", "--json")[0], pipeline.command("plan", "--json")[0])
    return found


def line_for_a_monitor(pipeline: Pipeline) -> tuple[int, str]:
    code, output, _ = pipeline.command("status", "--nagios")
    (line,) = output.splitlines()
    return code, line


def test_a_live_knowledge_base_is_ok(promoted: Pipeline) -> None:
    assert codes(promoted) == (ExitCode.OK, ExitCode.OK)
    code, line = line_for_a_monitor(promoted)
    assert code == 0
    assert line.startswith("OK - 20 documents and ")
    assert line.endswith(f" in {promoted.production().production}")


def test_an_empty_knowledge_base_is_critical(empty: Pipeline) -> None:
    assert empty.command("status")[0] == ExitCode.FAILED
    assert line_for_a_monitor(empty) == (
        2,
        f"CRITICAL - nothing is in production (knowledge base knowledge_base in {empty.state_dir})",
    )


def test_a_blocked_refresh_is_a_warning_with_its_verdict(promoted: Pipeline) -> None:
    promoted.write("topic03.md", text_about("third version"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.refresh()
    assert promoted.command("status")[0] == ExitCode.BLOCKED
    code, line = line_for_a_monitor(promoted)
    assert code == 1
    assert line.startswith("WARNING - the last refresh was blocked: Recall@5 ")
    promoted.benchmark.unlink()
    assert promoted.command("plan")[0] == ExitCode.BLOCKED


def test_a_refusal_is_known_to_the_plan_before_and_to_the_status_after(promoted: Pipeline) -> None:
    promoted.remove(*(f"topic{number:02}.md" for number in range(4, 20)))
    assert codes(promoted) == (ExitCode.OK, ExitCode.REFUSED)
    promoted.refresh()
    assert codes(promoted) == (ExitCode.REFUSED, ExitCode.REFUSED)
    code, line = line_for_a_monitor(promoted)
    assert code == 1
    assert line.startswith("WARNING - the last refresh was refused: ")
    assert "rag-assets approve" in line


def test_a_hold_is_a_warning_with_the_person_and_the_reason(promoted: Pipeline) -> None:
    promoted.succeed("rollback", "--reason", "wrong prices", "--by", "ada")
    assert codes(promoted) == (ExitCode.HELD, ExitCode.HELD)
    code, line = line_for_a_monitor(promoted)
    assert code == 1
    assert line.startswith("WARNING - production is held since 2")
    assert line.endswith(" by ada: wrong prices")
    promoted.refresh().checked()
    assert promoted.command("status")[0] == ExitCode.HELD


def test_quarantined_documents_are_a_warning(promoted: Pipeline) -> None:
    promoted.write("broken.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    assert codes(promoted) == (ExitCode.OK, ExitCode.DEGRADED)
    promoted.refresh().checked()
    assert codes(promoted) == (ExitCode.DEGRADED, ExitCode.DEGRADED)
    assert line_for_a_monitor(promoted) == (1, "WARNING - 1 document quarantined")


def test_a_broken_refresh_is_critical(promoted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("text of a document")

    promoted.write("new.md", text_about("new"))
    with monkeypatch.context() as patched:
        patched.setattr(EMBEDDINGS, "embed_chunks", fail)
        promoted.refresh()
    assert promoted.command("status")[0] == ExitCode.FAILED
    code, line = line_for_a_monitor(promoted)
    assert code == 2
    assert line.startswith("CRITICAL - the last refresh failed: unexpected ZeroDivisionError")
    promoted.refresh().checked()
    assert promoted.command("status")[0] == ExitCode.OK


def test_a_monitor_gets_a_line_if_the_status_is_unknown(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(_: object) -> None:
        raise VectorStoreUnavailable("the server does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedVectorStore, "production_state", no_answer)
        assert line_for_a_monitor(promoted) == (2, "CRITICAL - the server does not answer")
        assert promoted.command("status")[0] == ExitCode.FAILED
    promoted.configure(RAG_CHUNK_SIZE="many")
    code, line = line_for_a_monitor(promoted)
    assert code == 3
    assert line.startswith("UNKNOWN - RAG_CHUNK_SIZE")
