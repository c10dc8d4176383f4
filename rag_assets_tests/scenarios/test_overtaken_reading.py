"""An old run executed again must not undo newer changes of the sources."""

from rag_assets_tests.pipeline import Pipeline, text_about


def test_an_old_run_executed_again_does_not_undo_newer_changes(promoted: Pipeline) -> None:
    paths = [f"topic{number:02}.md" for number in range(4, 20)]
    for path in paths:
        promoted.remove(path)
    refused = promoted.refresh()
    assert "rag-assets approve" in refused.failures["deduped_documents"]

    for number, path in enumerate(paths, 4):
        promoted.write(path, text_about(number))
    promoted.write("new.md", text_about("new"))
    promoted.configure(RAG_MAX_DELETED_SHARE="1")
    promoted.refresh().checked()
    served = promoted.served()
    assert "filesystem:new.md" in served

    again = promoted.materialize(retry_of=refused)
    assert not again.success
    assert again.outcomes["deduped_documents"] == "superseded"
    assert promoted.served() == served
