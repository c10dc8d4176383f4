"""An older reading of the sources never undoes a later one, and no clock decides which one is later."""

import importlib
from datetime import datetime, timedelta, tzinfo

import pytest

from rag_assets_tests.pipeline import Pipeline, Run, text_about


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


DEDUPED = importlib.import_module("rag_assets.defs.assets.deduped_documents")
RAW = importlib.import_module("rag_assets.defs.assets.raw_documents")


def stopped_after_reading(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a run that read the sources and went no further."""

    def stop(*_: object) -> None:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(DEDUPED, "decide", stop)
        run = pipeline.refresh()
    assert "deduped_documents" in run.steps
    assert not run.success
    return run


@pytest.mark.parametrize("change", ["nothing else", "another document"])
def test_a_document_deleted_since_the_reading_is_not_served_again(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    promoted.write("new.md", text_about("new"))
    early = stopped_after_reading(promoted, monkeypatch)
    promoted.remove("new.md")
    if change == "another document":
        promoted.write("topic05.md", text_about("other"))
    promoted.refresh().checked()
    served = promoted.served()
    again = promoted.materialize(retry_of=early)
    assert again.outcomes["deduped_documents"] == "superseded"
    assert promoted.served() == served
    assert "filesystem:new.md" not in served


def test_a_candidate_is_not_promoted_after_a_later_reading_that_changed_nothing(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted.write("new.md", text_about("new"))
    production = importlib.import_module("rag_assets.defs.assets.production_collection")

    def stop(*_: object, **__: object) -> None:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(production, "promote", stop)
        early = promoted.refresh()
    assert early.gate_passed
    promoted.remove("new.md")
    promoted.refresh().checked()
    again = promoted.materialize(retry_of=early)
    assert again.outcomes["production_collection"] == "superseded"
    assert "filesystem:new.md" not in promoted.served()


class _NextYear(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_NextYear":
        return super().now(tz) + timedelta(days=366)  # type: ignore[return-value]


def test_a_clock_once_ahead_stops_no_later_refresh(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted.write("ahead.md", text_about("ahead"))
    with monkeypatch.context() as patched:
        patched.setattr(RAW, "datetime", _NextYear)
        promoted.refresh().checked()
    for number in range(6):  # more refreshes than artifacts are kept of
        promoted.write("later.md", text_about(f"later {number}"))
        promoted.refresh().checked()
    later = promoted.status()["last_refresh"]["refresh_id"]
    assert {"filesystem:ahead.md", "filesystem:later.md"} <= promoted.served()
    assert promoted.json("trace", "later.md", "--json")["history"][0]["refresh_id"] == later
