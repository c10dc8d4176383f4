"""A refresh in a degraded state is not plain green: the checks on its assets warn, and block nothing."""

import pytest

from rag_assets_tests.pipeline import Pipeline, text_about

TORN = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog"


def test_a_complete_refresh_warns_of_nothing(promoted: Pipeline) -> None:
    run = promoted.refresh().checked()
    assert (run.warnings, run.gate_passed) == ({}, True)


def test_an_unreadable_source_is_a_warning_with_its_name_and_the_next_step(promoted: Pipeline) -> None:
    archive = promoted.home / "archive"
    declared = promoted.home / "sources.yaml"
    declared.write_text(f"sources:\n  archive:\n    kind: filesystem\n    folder: {archive}\n")
    promoted.write("old.md", text_about("old"), archive)
    promoted.configure(RAG_SOURCES="filesystem,archive", RAG_SOURCES_FILE=str(declared))
    assert promoted.refresh().checked().warnings == {}
    archive.rename(archive.with_name("away"))
    run = promoted.refresh().checked()
    assert run.warnings.keys() == {"sources_complete"}
    said = run.warnings["sources_complete"]
    assert "1 of 2 sources" in said
    assert "archive" in said
    assert "Its documents stay" in said
    assert "rag-assets status" in said


@pytest.mark.parametrize("with_checks", [True, False])
def test_quarantined_documents_are_a_warning_with_the_command_for_them(
    promoted: Pipeline, with_checks: bool
) -> None:
    promoted.write("topic09.md", b"")
    promoted.write("torn.pdf", TORN)
    run = promoted.refresh(with_checks=with_checks).checked()
    assert run.warnings.keys() == {"nothing_quarantined"}
    said = run.warnings["nothing_quarantined"]
    assert said.startswith("2 documents quarantined: filesystem:topic09.md (empty), filesystem:torn.pdf (")
    assert "rag-assets quarantine" in said
    assert "filesystem:topic09.md" in promoted.served()
