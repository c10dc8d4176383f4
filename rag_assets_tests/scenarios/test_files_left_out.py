"""No file leaves without a word: files without a parser are shown wherever a refresh is."""

from rag_assets_tests.pipeline import Pipeline

LEFT_OUT = "12 files left out: 9 .adoc, 3 .key"


def _write(pipeline: Pipeline) -> None:
    for number in range(9):
        pipeline.write(f"guide{number}.adoc", "= Guide")
    for number in range(3):
        pipeline.write(f"slides{number}.key", "slides")


def test_files_left_out_are_shown_in_plan_status_metadata_and_log(empty: Pipeline) -> None:
    _write(empty)
    counts = {"filesystem": {".adoc": 9, ".key": 3}}
    assert f"left out       source filesystem: {LEFT_OUT}" in empty.succeed("plan")
    assert empty.json("plan", "--json")["raw_documents"]["skipped_files"] == counts
    run = empty.materialize("raw_documents", with_checks=False).checked()
    assert run.metadata["raw_documents"]["num_skipped_files"] == 12
    assert run.metadata["raw_documents"]["skipped_files"] == counts
    assert f"left out       source filesystem: {LEFT_OUT}" in empty.succeed("status")
    assert empty.status()["last_refresh"]["skipped_files"] == counts


def test_a_folder_without_any_readable_file_says_why(empty: Pipeline) -> None:
    for path in sorted(empty.documents.iterdir()):
        path.unlink()
    _write(empty)
    empty.write("torn.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    message = empty.command("plan")[2]
    assert f"no readable document in filesystem: {LEFT_OUT}; 1 document quarantined: 1 corrupt" in message
    assert "put documents into" not in message
    assert message.strip().endswith("docs/formats.md lists the formats")
    run = empty.materialize("raw_documents", "deduped_documents", with_checks=False)
    assert LEFT_OUT in run.failures["deduped_documents"]
