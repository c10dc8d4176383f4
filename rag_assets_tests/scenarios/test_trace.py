"""`rag-assets trace`: the state and history of a document or a point."""

import json
import shutil
from typing import Any

import pytest

from rag_assets_tests.pipeline import Pipeline, text_about


def trace(pipeline: Pipeline, name: str, code: int = 0) -> dict[str, Any]:
    found, output, errors = pipeline.command("trace", name, "--json")
    assert found == code, output + errors
    assert pipeline.command("trace", name)[0] == code
    return json.loads(output)


def why(report: dict[str, Any]) -> str:
    return "; ".join(report["explanation"])


# The sample knowledge base


def test_trace_shows_a_promoted_document(sample: Pipeline) -> None:
    report = trace(sample, "learning_budget.md")
    state = sample.production()
    assert report["outcome"] == "served"
    assert report["document_id"] == "filesystem:hr/learning_budget.md"
    assert report["source"]["source_uri"] == (sample.documents / "hr" / "learning_budget.md").as_uri()
    assert report["source"]["listed"] is True
    size_and_mtime = [report[part]["version_token"].split("-")[:2] for part in ("source", "parse")]
    assert size_and_mtime[0] == size_and_mtime[1] != [""]  # the files are copies with a new ctime
    assert (report["parse"]["parser"], report["parse"]["content_hash"]) == (
        "markdown",
        report["content_hash"],
    )
    assert [entry["change"] for entry in report["history"]] == ["unchanged", "added"]
    assert [(one["role"], one["generation"]) for one in report["generations"]] == [
        ("production", state.production),
        ("previous", state.previous),
    ]
    assert {one["embedding_model"] for one in report["generations"]} == {"l2_supercat_256"}
    runs = [one["run_id"] for one in report["generations"]]
    assert runs == [entry["run_id"] for entry in report["history"]]
    assert report["generations"][0]["run_path"] == f"/runs/{runs[0]}"
    exported = [json.loads(line) for line in sample.export().splitlines()]
    mine = [line["id"] for line in exported if line["document_id"] == report["document_id"]]
    assert sorted(point["id"] for point in report["chunks"]["points"]) == mine
    assert report["chunks"]["num_chunks"] == len(mine) > 1
    assert report["chunks"]["num_tokens"] == sum(point["token_count"] for point in report["chunks"]["points"])
    assert any(point["heading_path"] for point in report["chunks"]["points"])
    # The first refresh made its points, and the second copied them.
    assert report["chunks"]["refresh_id"] == report["history"][1]["refresh_id"]
    assert report["chunks"]["run_id"] == runs[1]


def test_trace_explains_a_quarantined_document(sample: Pipeline) -> None:
    report = trace(sample, "hr/hr_handbook.pdf")
    assert report["outcome"] == "quarantined"
    assert "corrupt" in why(report)
    assert "its last good version is served" in why(report)
    assert report["history"][0]["quarantine_reason"] == report["parse"]["quarantine_reason"] == "corrupt"
    assert report["content_hash"] == report["history"][1]["content_hash"] != report["parse"]["content_hash"]
    assert report["chunks"]["num_chunks"] > 0
    never_good = trace(sample, "hr/torn.pdf")
    assert never_good["outcome"] == "quarantined"
    assert "no version of it is served" in why(never_good)
    assert (never_good["generations"], never_good["chunks"]) == ([], None)


def test_trace_explains_a_deleted_document(sample: Pipeline) -> None:
    report = trace(sample, "vpn_setup.html")
    assert report["outcome"] == "deleted"
    assert [entry["change"] for entry in report["history"]] == ["deleted", "added"]
    assert f"refresh {report['history'][0]['refresh_id']} found it gone" in why(report)
    assert f"the previous generation {sample.production().previous} still holds it" in why(report)
    assert [one["role"] for one in report["generations"]] == ["previous"]
    assert report["chunks"]["generation"] == sample.production().previous
    of_a_point = trace(sample, report["chunks"]["points"][0]["id"])
    assert of_a_point["point"]["generations"] == [sample.production().previous]
    assert "in previous" in of_a_point["explanation"][0]
    assert (of_a_point["outcome"], of_a_point["document_id"]) == ("deleted", report["document_id"])


def test_trace_explains_a_moved_document(sample: Pipeline) -> None:
    report = trace(sample, "it/software_request.txt")
    assert report["outcome"] == "moved"
    assert "found it moved to filesystem:it/software.txt" in why(report)
    there = trace(sample, "it/software.txt")
    assert there["outcome"] == "served"
    assert there["history"][0]["moved_from"] == "filesystem:it/software_request.txt"


def test_trace_names_the_other_places_of_a_duplicate(sample: Pipeline) -> None:
    report = trace(sample, "hr/copy.md")
    assert report["outcome"] == "served"
    assert report["history"][0]["change"] == "duplicate"
    assert report["also_at"] == ["filesystem:hr/learning_budget.md"]
    assert "the same text is also at filesystem:hr/learning_budget.md" in why(report)
    assert report["chunks"] == trace(sample, "hr/learning_budget.md")["chunks"]


def test_trace_suggests_similar_names_for_an_unknown_document(sample: Pipeline) -> None:
    report = trace(sample, "hr_hand_book.pdf", code=1)
    assert report["outcome"] == "unknown"
    assert report["suggestions"][0] == "filesystem:hr/hr_handbook.pdf"
    assert "did you mean filesystem:hr/hr_handbook.pdf" in sample.command("trace", "hr_hand_book.pdf")[1]


# Names and points


def test_a_document_is_found_by_each_of_its_names(promoted: Pipeline) -> None:
    path = promoted.documents / "topic04.md"
    promoted.write("a/readme.md", text_about("a readme"))
    promoted.write("b/readme.md", text_about("another readme"))
    for name in ("topic04.md", "filesystem:topic04.md", path.as_uri(), str(path), "documents/topic04.md"):
        assert trace(promoted, name)["document_id"] == "filesystem:topic04.md"
    code, output, said = promoted.command("trace", "readme.md")
    assert (code, output) == (1, "")
    assert "'readme.md' is ambiguous, it fits filesystem:a/readme.md, filesystem:b/readme.md" in said
    assert len(said.splitlines()) == 1


def test_known_copies_with_one_name_are_not_ambiguous(promoted: Pipeline) -> None:
    for folder in "ab":
        promoted.write(f"{folder}/readme.md", text_about("readme"))
    promoted.refresh().checked()
    report = trace(promoted, "readme.md")
    assert (report["document_id"], report["also_at"]) == (
        "filesystem:a/readme.md",
        ["filesystem:b/readme.md"],
    )


def test_a_point_of_production_or_of_a_held_generation_leads_to_its_document(promoted: Pipeline) -> None:
    second = trace(promoted, "topic03.md")["chunks"]["points"]
    promoted.succeed("rollback")
    first = trace(promoted, "topic03.md")["chunks"]["points"]
    assert not {point["id"] for point in first} & {point["id"] for point in second}
    state = promoted.production()
    for point, generation, role in (
        (first[1], state.production, "production"),
        (second[1], state.held, "held"),
    ):
        report = trace(promoted, point["id"])
        assert report["document_id"] == "filesystem:topic03.md"
        assert report["point"]["chunk_index"] == point["chunk_index"] == 1
        assert report["point"]["generations"] == [generation]
        assert f"in {role}" in report["explanation"][0]
    assert trace(promoted, second[1]["id"].translate({48: 49, 49: 48}), code=1)["outcome"] == "unknown"


# Reasons for missing documents


def test_trace_explains_a_candidate_with_a_failed_gate(promoted: Pipeline) -> None:
    promoted.write("new.md", text_about("new"))
    promoted.write("topic05.md", text_about("another text"))
    promoted.remove("topic06.md")
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    assert not promoted.refresh().success
    promoted.configure(RAG_EVAL_THRESHOLD="0.5")
    report = trace(promoted, "new.md")
    assert report["outcome"] == "not_promoted"
    assert "never went live: it failed its gate: Recall@5" in why(report)
    assert report["candidate"]["content_hash"] == report["content_hash"]
    assert report["candidate"]["run_id"] == report["history"][0]["run_id"]
    changed = trace(promoted, "topic05.md")
    assert changed["outcome"] == "served"
    assert "holds another version of it, but never went live: it failed its gate" in why(changed)
    deleted = trace(promoted, "topic06.md")
    assert deleted["outcome"] == "served"
    assert "no longer holds it, but never went live" in why(deleted)
    assert "its source no longer lists it" in why(deleted)
    assert "candidate" not in why(trace(promoted, "topic07.md"))
    promoted.refresh().checked()
    assert trace(promoted, "new.md")["outcome"] == "served"
    assert trace(promoted, "topic06.md")["outcome"] == "deleted"


def test_trace_explains_a_rollback_and_a_refresh_during_its_hold(promoted: Pipeline) -> None:
    promoted.write("new.md", text_about("new"))
    promoted.refresh().checked()
    promoted.succeed("rollback")
    report = trace(promoted, "new.md")
    assert report["outcome"] == "rolled_back"
    assert "until `rag-assets resume`" in why(report)
    promoted.write("newer.md", text_about("newer"))
    promoted.refresh().checked()
    report = trace(promoted, "newer.md")
    assert report["outcome"] == "not_promoted"
    assert f"it waits: {promoted.production().hold_in_words}" in why(report)


def test_trace_explains_an_older_version_after_a_rollback(rolled_back: Pipeline) -> None:
    report = trace(rolled_back, "topic03.md")
    assert report["outcome"] == "served"
    held = rolled_back.production().held
    assert f"generation {held}, which was rolled back, holds another version of it" in why(report)


def test_trace_shows_the_effect_of_the_next_refresh(promoted: Pipeline) -> None:
    promoted.write("new.md", text_about("new"))
    promoted.touch(promoted.documents / "topic04.md")
    promoted.remove("topic05.md")
    assert trace(promoted, "new.md")["outcome"] == "not_read_yet"
    assert "may have changed since it was last read" in why(trace(promoted, "topic04.md"))
    assert "the next refresh deletes it" in why(trace(promoted, "topic05.md"))


def test_trace_explains_a_refused_refresh(promoted: Pipeline) -> None:
    for number in range(8, 20):
        promoted.remove(f"topic{number:02}.md")
    promoted.write("new.md", text_about("new"))
    assert not promoted.refresh().success
    report = trace(promoted, "new.md")
    assert report["outcome"] == "not_promoted"
    assert report["history"][0]["change"] is None
    assert "ended before it compared it with production" in why(report)
    assert trace(promoted, "topic09.md")["outcome"] == "served"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("notes.xyz", "no parser"),
        (".hidden.md", "hidden files"),
        ("../beside.md", "outside of the documents"),
    ],
)
def test_trace_explains_files_left_out(promoted: Pipeline, path: str, reason: str) -> None:
    promoted.write(path, "text")
    report = trace(promoted, path)
    assert report["outcome"] == "skipped"
    assert reason in why(report)


def test_trace_explains_a_file_without_a_parser(promoted: Pipeline) -> None:
    (promoted.documents / "topic04.md").rename(promoted.documents / "topic04.xyz")
    promoted.refresh().checked()
    assert trace(promoted, "topic04.md")["outcome"] == "deleted"
    assert "no parser" in why(trace(promoted, "topic04.xyz"))


def test_trace_explains_an_unreadable_source(promoted: Pipeline) -> None:
    shutil.rmtree(promoted.documents)
    report = trace(promoted, "topic04.md")
    assert report["outcome"] == "served"
    assert (report["source"]["listed"], "none of its documents is deleted" in why(report)) == (None, True)
    assert trace(promoted, "never.md")["outcome"] == "unreadable_source"


def test_trace_works_before_the_first_refresh(empty: Pipeline) -> None:
    assert trace(empty, "topic04.md")["outcome"] == "not_read_yet"
    assert "nothing was refreshed yet" in why(trace(empty, "never.md", code=1))


def test_a_document_in_no_record_is_unknown(promoted: Pipeline) -> None:
    promoted.write("short.md", text_about("short"))
    promoted.refresh().checked()
    promoted.remove("short.md")
    promoted.refresh().checked()
    assert trace(promoted, "short.md")["outcome"] == "deleted"
    for number in range(6):
        promoted.write("topic07.md", text_about(("version", number)))
        promoted.refresh().checked()
    report = trace(promoted, "short.md", code=1)
    assert report["outcome"] == "unknown"
    assert f"nor any refresh since {trace(promoted, 'topic04.md')['history'][-1]['refresh_id']}" in why(
        report
    )


def test_a_lost_ledger_only_loses_the_parse(promoted: Pipeline) -> None:
    promoted.refresh().checked()  # copied files are read once
    before = trace(promoted, "topic04.md")
    for path in promoted.state_dir.glob("ledger.sqlite*"):
        path.unlink()
    assert trace(promoted, "topic04.md") == {**before, "parse": None}


def test_the_text_and_the_json_agree(sample: Pipeline) -> None:
    report = trace(sample, "hr/copy.md")
    said = sample.succeed("trace", "hr/copy.md")
    assert said.startswith("filesystem:hr/copy.md: served\n")
    for part in (
        *report["explanation"],
        report["content_hash"],
        report["generations"][0]["run_path"],
        report["chunks"]["points"][0]["id"],
        f"{report['history'][0]['refresh_id']}: duplicate",
    ):
        assert part in said
