"""Near-duplicates are shown by default. On request, one of each group is kept, and the omission of the others is reported."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from rag_assets.changes import near_duplicates
from rag_assets_tests.pipeline import (
    NUM_DOCUMENTS,
    Pipeline,
    Run,
    assert_same_points,
    page,
    text_about,
    token_in,
)


def trace(pipeline: Pipeline, name: str) -> dict[str, Any]:
    return json.loads(pipeline.succeed("trace", name, "--json"))


def counts(run: Run) -> dict[str, Any]:
    return run.checked().metadata["deduped_documents"]


IDS = {"filesystem:a.md", "filesystem:b.md", "filesystem:c.md"}


def test_near_duplicates_are_shown_and_served_by_default(similar: Pipeline) -> None:
    run = similar.refresh()
    assert counts(run)["num_near_duplicates"] == 3
    assert counts(run)["num_omitted"] == 0
    [row] = counts(run)["near_duplicates"].records
    assert row.data["documents"] == "filesystem:a.md, filesystem:b.md, filesystem:c.md"
    assert row.data["omitted"] is None
    assert 0.9 <= row.data["similarity"] < 1
    assert similar.served() >= IDS
    assert similar.status()["last_refresh"]["num_near_duplicates"] == 3
    assert "3 near-duplicates" in similar.succeed("status")
    report = trace(similar, "b.md")
    assert report["near_duplicates"] == ["filesystem:a.md", "filesystem:c.md"]
    assert "it was a near-duplicate of filesystem:a.md, filesystem:c.md" in "; ".join(report["explanation"])
    assert trace(similar, "topic01.md")["near_duplicates"] == []


def test_nothing_is_compared_when_switched_off(similar: Pipeline, no_signatures: None) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="off")
    similar.write("d.md", page(7))
    run = similar.refresh()
    assert counts(run)["num_near_duplicates"] == 0
    assert "near_duplicates" not in counts(run)


@pytest.fixture
def no_signatures(similar: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail from now on if a signature is computed or looked up."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a text was compared")

    monkeypatch.setattr(near_duplicates, "signature_of", refuse)
    monkeypatch.setattr("rag_assets.ledgers.sqlite.SqliteLedger.signatures", refuse)


def test_an_unchanged_refresh_compares_nothing(similar: Pipeline, no_signatures: None) -> None:
    assert counts(similar.refresh())["num_near_duplicates"] == 3


def test_a_small_refresh_compares_only_new_texts(similar: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real: Callable[[str], bytes] = near_duplicates.signature_of

    def recorded(text: str) -> bytes:
        made.append(text)
        return real(text)

    monkeypatch.setattr(near_duplicates, "signature_of", recorded)
    similar.write("d.md", page(7))
    assert counts(similar.refresh())["num_near_duplicates"] == 4
    assert made == [page(7)]


def test_keep_one_omits_the_other_near_duplicates_and_explains_it(similar: Pipeline) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    planned = json.loads(similar.succeed("plan", "--json"))["deduped_documents"]
    assert planned["num_omitted"] == 2
    assert planned["documents"]["omitted"] == [
        {"document_id": "filesystem:a.md", "near_duplicate_of": "filesystem:b.md"},
        {"document_id": "filesystem:c.md", "near_duplicate_of": "filesystem:b.md"},
    ]
    assert "a.md (near-duplicate of filesystem:b.md, which is kept)" in similar.succeed("plan")

    run = similar.refresh()
    assert similar.served() & IDS == {"filesystem:b.md"}  # the oldest
    assert (counts(run)["num_omitted"], counts(run)["num_deleted"]) == (2, 0)
    [row] = counts(run)["near_duplicates"].records
    assert (row.data["documents"], row.data["omitted"]) == (
        "filesystem:b.md",
        "filesystem:a.md, filesystem:c.md",
    )
    report = trace(similar, "a.md")
    assert report["outcome"] == "omitted"
    assert "filesystem:b.md, which is kept" in report["explanation"][0]
    assert report["history"][0]["near_duplicate_of"] == "filesystem:b.md"
    assert report["near_duplicates"] == ["filesystem:b.md", "filesystem:c.md"]
    assert similar.status()["last_refresh"]["changes"]["num_omitted"] == 2
    assert similar.problems_of_production() == ()

    again = similar.refresh()
    assert again.checked().metadata["staging_collection"]["written"] is False
    assert counts(again)["num_omitted"] == 2


def test_an_omitted_document_returns_when_the_kept_one_is_gone(similar: Pipeline) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    similar.refresh().checked()
    similar.remove("b.md")
    run = similar.refresh()
    assert similar.served() & IDS == {"filesystem:a.md"}
    assert (counts(run)["num_deleted"], counts(run)["num_added"], counts(run)["num_omitted"]) == (1, 1, 1)

    similar.write("a.md", text_about("something else"))
    similar.refresh().checked()
    assert similar.served() & IDS == {"filesystem:a.md", "filesystem:c.md"}

    similar.write("a.md", page(50))
    assert counts(similar.refresh())["num_omitted"] == 1
    similar.configure(RAG_NEAR_DUPLICATES="show")
    run = similar.refresh()
    assert similar.served() & IDS == {"filesystem:a.md", "filesystem:c.md"}
    assert run.metadata["embeddings"]["num_embedded"] == 0
    assert run.metadata["raw_documents"]["num_parsed"] == 0
    assert_same_points(similar.points(), similar.points_built_from_nothing())


def test_an_omitted_document_is_not_read_again_when_no_generation_holds_its_text(
    similar: Pipeline,
) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    similar.refresh().checked()
    long_ago = time.time() - 7200
    for path in (similar.state_dir / "texts").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    similar.write("topic03.md", text_about("another version"))
    similar.refresh().checked()  # now no remaining generation holds their texts
    assert similar.refresh().checked().metadata["raw_documents"]["num_read"] == 0


def test_a_rebuild_keeps_and_omits_the_same_documents(similar: Pipeline) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    similar.refresh().checked()
    similar.configure(RAG_CHUNK_SIZE="48")
    run = similar.refresh()
    assert counts(run)["full_rebuild"] is True
    assert similar.served() & IDS == {"filesystem:b.md"}
    for path in similar.state_dir.glob("ledger.sqlite*"):
        path.unlink()
    assert counts(similar.refresh())["num_omitted"] == 2
    assert similar.served() & IDS == {"filesystem:b.md"}


def test_a_corrupted_file_keeps_its_last_good_version(similar: Pipeline) -> None:
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    similar.refresh().checked()
    similar.write("b.md", b"")
    run = similar.refresh()
    assert similar.served() & IDS == {"filesystem:b.md"}
    assert (counts(run)["num_quarantined"], counts(run)["num_omitted"]) == (1, 2)
    similar.remove("b.md")
    similar.refresh().checked()
    assert similar.served() & IDS == {"filesystem:a.md"}


def test_omissions_need_no_approval_but_deletions_do(similar: Pipeline) -> None:
    for number in range(30):
        similar.write(f"copy{number:02}.md", page(number))
    similar.refresh().checked()
    assert len(similar.served()) == NUM_DOCUMENTS + 33
    similar.configure(RAG_NEAR_DUPLICATES="keep_one")
    run = similar.refresh()
    assert (counts(run)["num_omitted"], counts(run)["num_deleted"]) == (32, 0)
    assert len(similar.served()) == NUM_DOCUMENTS + 1
    for number in range(8, NUM_DOCUMENTS):
        similar.remove(f"topic{number:02}.md")
    refused = similar.refresh()
    assert token_in(refused.message)
    assert "refused to delete 12 of 21 documents" in refused.message
    assert len(similar.served()) == NUM_DOCUMENTS + 1


def test_keep_one_of_the_launchpad_applies_to_one_run(similar: Pipeline) -> None:
    assert counts(similar.refresh(launchpad={"near_duplicates": "keep_one"}))["num_omitted"] == 2
    assert counts(similar.refresh())["num_omitted"] == 0
    assert similar.served() >= IDS
