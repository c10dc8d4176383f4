"""A refresh in a degraded state is not plain green: the checks on its assets warn, and block nothing."""

import dagster as dg

from rag_assets.definitions import build_definitions
from rag_assets.defs.warning_checks import SOURCES_COMPLETE
from rag_assets.settings import load_settings
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


def test_a_job_without_checks_warns_of_nothing(promoted: Pipeline) -> None:
    promoted.write("torn.pdf", TORN)
    assert promoted.refresh(with_checks=False).checked().warnings == {}


def test_quarantined_documents_are_a_warning_with_the_command_for_them(promoted: Pipeline) -> None:
    promoted.write("topic09.md", b"")
    promoted.write("torn.pdf", TORN)
    run = promoted.refresh().checked()
    assert run.warnings.keys() == {"nothing_quarantined"}
    said = run.warnings["nothing_quarantined"]
    assert said.startswith("2 documents quarantined: filesystem:topic09.md (empty), filesystem:torn.pdf (")
    assert "rag-assets quarantine" in said
    assert "filesystem:topic09.md" in promoted.served()


def test_a_warning_alone_asks_for_its_asset(empty: Pipeline) -> None:
    only_checks = dg.define_asset_job("only_checks", dg.AssetSelection.checks(SOURCES_COMPLETE.key))
    definitions = dg.Definitions.merge(build_definitions(load_settings()), dg.Definitions(jobs=[only_checks]))
    job = definitions.resolve_job_def("only_checks")
    result = job.execute_in_process(instance=empty.instance, raise_on_error=False)
    failure = result.failure_data_for_node("raw_documents")
    assert failure is not None
    assert "materialize raw_documents" in str(failure.user_failure_data or failure.error)
    assert empty.generations() == []
