"""State made by an earlier version works with this one: stored names and formats keep their meaning.

Each archive in `state_of_earlier_versions` holds documents, `.rag` and `.dagster` of one version. Its README gives
their history.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_assets.fingerprint import name_hash
from rag_assets.records import Point, SourceEntry
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets_tests.canary import places_of
from rag_assets_tests.pipeline import Pipeline, assert_same_points
from rag_assets_tests.processes.kill_points import STEPS

ARCHIVES = sorted(Path(__file__).parents[1].joinpath("state_of_earlier_versions").glob("*.tar.xz"))
MADE_IN = "/var/tmp/rag-assets-state"
VACATION = "how many days of vacation do I get?"
LAPTOPS = "it/laptop_hardware_policy.md"


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda archive: archive.name.partition(".")[0])
def archive(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(archive, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture
def earlier(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline of this version on the state of an earlier one, with the same configuration."""
    with pipeline_on(unpack(archive, tmp_path), monkeypatch) as pipeline:
        yield pipeline


@pytest.fixture
def looked_at(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The same for tests that change nothing: each opening of a new copy costs a fifth of a second."""
    with pipeline_on(unpacked, monkeypatch) as pipeline:
        yield pipeline


def unpack(archive: Path, folder: Path) -> Path:
    # GNU tar keeps the holes of the files; Python's tarfile fills them in.
    subprocess.run(["tar", "-xf", archive, "-C", folder, "--no-same-owner"], check=True)
    return folder


@contextlib.contextmanager
def pipeline_on(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(folder, monkeypatch, dagster_home=folder)
    pipeline.configure(
        RAG_STATE_DIR=".rag",
        RAG_DOCUMENTS_DIR="documents",
        RAG_BENCHMARK_FILE="benchmark.jsonl",
        RAG_EMBEDDING_MODEL="wordllama",
        RAG_EVAL_THRESHOLD="0.75",
        RAG_CHUNK_SIZE="128",
        RAG_CHUNK_OVERLAP="16",
        **more,
    )
    yield pipeline
    pipeline.close()


def run_that_failed_at(step: str, pipeline: Pipeline) -> dg.DagsterRun:
    """Return the run with a failure of this step in its log."""
    for run in pipeline.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
        events = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if any(event.step_key == step for event in events):
            return run
    raise AssertionError(f"no run failed at {step}")


def traced(pipeline: Pipeline, document: str) -> dict[str, Any]:
    return dict(pipeline.json("trace", document, "--json"))


def test_status_knows_the_production_and_the_last_refresh(looked_at: Pipeline) -> None:
    status = looked_at.status()
    assert (status["production"]["num_documents"], status["production"]["num_points"]) == (12, 103)
    assert status["production"]["problem"] == ""
    assert status["previous_generation"] is not None
    assert status["held_generation"] is status["live_refresh"] is None
    assert status["last_failure"] is None  # a verdict is not a failure
    last = status["last_refresh"]
    assert last["last_step"] == "eval_report"
    assert {kind: count for kind, count in last["changes"].items() if count} == {
        "num_updated": 1,
        "num_unchanged": 10,
        "num_quarantined": 2,
    }
    assert last["evaluation"]["gate_passed"] is False
    assert last["evaluation"]["recall_at_5"] == pytest.approx(0.9)
    assert looked_at.problems_of_production() == ()


def test_search_finds_the_same(looked_at: Pipeline) -> None:
    hits = looked_at.search(VACATION)
    assert hits[0]["document_id"] == "filesystem:hr/hr_handbook.pdf"
    assert "27 days" in hits[0]["text"]
    assert hits[0]["source_uri"] == f"file://{MADE_IN}/documents/hr/hr_handbook.pdf"
    filtered = looked_at.json("search", VACATION, "--filter", "path=it/*", "--json")["hits"]
    assert {hit["document_id"] for hit in filtered} == {f"filesystem:{LAPTOPS}", "filesystem:it/software.txt"}


def test_rollback_and_resume_work(earlier: Pipeline) -> None:
    before = earlier.production()
    earlier.succeed("rollback")
    state = earlier.production()
    assert (state.production, state.previous, state.held) == (before.previous, None, before.production)
    assert earlier.problems_of_production() == ()
    assert "filesystem:it/vpn_setup.html" in earlier.served()
    earlier.succeed("resume")
    assert earlier.production().held is None


def test_quarantine_lists_the_damaged_documents(looked_at: Pipeline) -> None:
    report = looked_at.json("quarantine", "--json")
    assert [
        (row["document_id"], row["reason"], row["last_good_version_served"]) for row in report["documents"]
    ] == [
        ("filesystem:sales/larkspur_lk3_product_sheet.pdf", "corrupt", True),
        ("filesystem:torn.pdf", "corrupt", False),
    ]


@pytest.mark.parametrize(
    ("document", "outcome", "changes"),
    [
        ("hr/learning_budget.md", "served", ["unchanged", "unchanged", "updated", "added"]),
        ("it/vpn_setup.html", "deleted", ["deleted", "added"]),
        ("it/software_request.txt", "moved", ["moved", "added"]),
        (LAPTOPS, "served", ["updated", "updated", "unchanged", "added"]),
        ("torn.pdf", "quarantined", ["quarantined"] * 4),
    ],
)
def test_trace_shows_the_history(
    looked_at: Pipeline, document: str, outcome: str, changes: list[str]
) -> None:
    report = traced(looked_at, document)
    assert report["outcome"] == outcome
    assert [entry["change"] for entry in report["history"]] == changes
    assert all(entry["run_id"] for entry in report["history"])


def test_trace_knows_the_candidate_stopped_by_its_gate(looked_at: Pipeline) -> None:
    candidate = traced(looked_at, LAPTOPS)["candidate"]
    assert candidate["run_id"] == run_that_failed_at("eval_report_recall_gate", looked_at).run_id
    assert candidate["not_live_because"]


def test_a_point_is_traced_to_its_document(looked_at: Pipeline) -> None:
    hit = looked_at.search(VACATION)[0]
    report = traced(looked_at, hit["id"])
    assert (report["outcome"], report["document_id"]) == ("served", hit["document_id"])
    assert len(report["point"]["generations"]) == 2


def test_a_backup_is_restored_by_command(earlier: Pipeline, tmp_path: Path) -> None:
    exported, before, files = earlier.export(), earlier.production(), earlier.files_of_production()
    backup = tmp_path / "backup"
    made = earlier.json("backup", str(backup), "--json")
    assert (made["production"], made["previous"]) == (before.production, before.previous)
    assert made["has_benchmark"] is True
    assert earlier.files_of_production() == files
    assert earlier.command("backup", str(backup))[0] == 4
    status = earlier.status()
    earlier.configure(RAG_STATE_DIR="restored")
    said = earlier.succeed("restore", str(backup))
    assert f"production     {before.production}: 12 documents" in said
    assert earlier.export() == exported
    assert earlier.production() == before
    assert earlier.problems_of_production() == ()
    assert earlier.status() == {
        **status,
        "knowledge_base": earlier.status()["knowledge_base"],
        "decisions": earlier.status()["decisions"],
    }
    assert earlier.status()["decisions"][0]["decision"] == "restore"
    earlier.succeed("rollback")
    code, _, errors = earlier.command("restore", str(backup))
    assert (code, "--into-living knowledge_base" in errors) == (4, True)
    code, _, errors = earlier.command("restore", str(backup), "--into-living", "knowledge_base")
    assert (code, "`rag-assets resume` lifts the hold" in errors) == (5, True)
    earlier.succeed("resume")
    held = earlier.production().production
    earlier.succeed("restore", str(backup), "--into-living", "knowledge_base", "--by", "ana")
    assert earlier.production().previous == held
    assert earlier.export() == exported
    (backup / "texts.parquet").unlink()
    code, _, errors = earlier.command("restore", str(backup))
    assert (code, "texts.parquet is missing" in errors) == (1, True)


def test_a_document_is_purged_by_command(earlier: Pipeline, tmp_path: Path) -> None:
    document = f"filesystem:{LAPTOPS}"
    lines = [
        line
        for point in earlier.points().values()
        if point.payload["locations"][0]["document_id"] == document
        for line in point.payload["text"].splitlines()
    ]
    sentence = max(lines, key=len)
    assert places_of(sentence, earlier.home / ".rag")
    code, output, errors = earlier.command("purge", document, "--accept", "--json")
    assert code == 0, output + errors
    state = earlier.production()
    assert (state.production, state.previous) == tuple(
        json.loads(output)["rebuilt"][role] for role in ("production", "previous")
    )
    assert document not in earlier.served()
    assert earlier.problems_of_production() == ()
    assert places_of(sentence, earlier.home / ".rag", earlier.home / ".dagster") == []
    assert earlier.status()["purged"][0]["document_hash"] == name_hash(document)
    earlier.succeed("rollback")
    assert document not in earlier.served()
    earlier.succeed("backup", str(tmp_path / "backup"))
    assert places_of(sentence, tmp_path / "backup") == []


@pytest.mark.slow
def test_the_first_refresh_adds_metadata_to_the_payload_and_nothing_else(
    earlier: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    _documents_lie_where_they_did(earlier, monkeypatch)
    _take_back_the_last_edit(earlier)
    points = earlier.points()
    planned = earlier.json("plan", "--json")
    assert planned["deduped_documents"]["num_payload_updates"] == 3
    assert planned["embeddings"]["num_embedded"] == 0
    assert (
        "to update      3 document texts: location or metadata only, nothing is embedded"
        in earlier.succeed("plan")
    )
    run = earlier.refresh().checked()
    changes = run.metadata["deduped_documents"]
    assert {key: changes[f"num_{key}"] for key in ("added", "updated", "moved", "deleted", "unchanged")} == {
        "added": 0,
        "updated": 3,
        "moved": 0,
        "deleted": 0,
        "unchanged": 8,
    }
    assert changes["num_payload_updates"] == 3
    assert run.metadata["embeddings"]["num_texts"] == 0
    staged = run.metadata["staging_collection"]
    assert (staged["num_points_added"], staged["num_points_deleted"]) == (0, 0)
    assert earlier.problems_of_production() == ()
    now = earlier.points()
    assert {
        location["path"]: sorted(location["metadata"])
        for point in now.values()
        for location in point.payload["locations"]
        if "metadata" in location
    } == {
        "hr/hr_handbook.pdf": ["created", "subject"],
        "hr/parental_leave_faq.html": ["language"],
        "hr/shift_work_agreement.docx": ["created", "modified"],
    }
    assert_same_points(_without_metadata(now), points)
    again = earlier.refresh().checked()
    assert again.metadata["raw_documents"]["num_read"] == 0
    assert again.metadata["staging_collection"]["written"] is False


@pytest.mark.slow
def test_an_unchanged_refresh_without_metadata_changes_nothing(
    earlier: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier.configure(RAG_METADATA_LEAVE_OUT="*")
    _documents_lie_where_they_did(earlier, monkeypatch)
    _take_back_the_last_edit(earlier)
    before = earlier.production()
    files = earlier.files_of_production()
    run = earlier.refresh().checked()
    assert run.metadata["raw_documents"]["num_quarantined"] == 2
    changes = run.metadata["deduped_documents"]
    assert {key: changes[f"num_{key}"] for key in ("added", "updated", "moved", "deleted", "unchanged")} == {
        "added": 0,
        "updated": 0,
        "moved": 0,
        "deleted": 0,
        "unchanged": 11,
    }
    assert run.metadata["chunks"]["num_chunks"] == 0
    assert run.metadata["embeddings"]["num_texts"] == 0
    assert run.metadata["staging_collection"]["written"] is False
    assert earlier.production() == before
    assert earlier.files_of_production() == files


@pytest.mark.slow
def test_moving_the_documents_folder_embeds_and_deletes_nothing(earlier: Pipeline) -> None:
    """All points are written, because their locations hold the URI. Their ids stay the same."""
    points = earlier.points()
    _take_back_the_last_edit(earlier)
    run = earlier.refresh().checked()
    assert run.metadata["deduped_documents"]["num_deleted"] == 0
    assert run.metadata["deduped_documents"]["full_rebuild"] is False
    assert run.metadata["embeddings"]["num_texts"] == 0
    assert (run.metadata["staging_collection"]["num_points_added"]) == 0
    assert earlier.points().keys() == points.keys()
    assert earlier.problems_of_production() == ()


@pytest.mark.slow
def test_a_rebuild_makes_the_same_points_from_cached_vectors(
    earlier: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, payloads, vectors and the keys of the cache are those of the earlier version."""
    points = earlier.points()
    _documents_lie_where_they_did(earlier, monkeypatch)
    _take_back_the_last_edit(earlier)
    # Production keeps the time when the content of a document last changed; the files were touched since.
    for location in (location for point in points.values() for location in point.payload["locations"]):
        modified_at = datetime.fromisoformat(location["modified_at"]).timestamp()
        os.utime(earlier.documents / location["path"], (modified_at, modified_at))
    earlier.configure(RAG_COLLECTION="another")
    run = earlier.refresh().checked()
    embeddings = run.metadata["embeddings"]
    assert (embeddings["num_texts"], embeddings["num_cached"], embeddings["num_embedded"]) == (97, 97, 0)
    rebuilt = _without_metadata(earlier.points())
    assert_same_points(rebuilt, {identity: points[identity] for identity in rebuilt})


@pytest.mark.slow
def test_a_run_stopped_by_its_gate_is_evaluated_again(earlier: Pipeline) -> None:
    earlier.configure(RAG_EVAL_THRESHOLD="0.99")
    before = earlier.production()
    run = run_that_failed_at("eval_report_recall_gate", earlier)
    again = earlier.execute_again(run.run_id)
    assert again.steps == ("eval_report_recall_gate",)
    assert again.gate_passed is False
    assert "Recall@5 0.900" in again.gate_description
    assert earlier.production() == before


@pytest.mark.slow
def test_a_rejected_candidate_stays_rejected(earlier: Pipeline) -> None:
    before = earlier.production()
    run = earlier.materialize("eval_report", "production_collection")
    assert "was rejected: Recall@5 0.900" in run.failures["eval_report"]
    assert earlier.production() == before


@pytest.mark.slow
def test_a_run_that_failed_at_embeddings_is_executed_again(earlier: Pipeline) -> None:
    """It takes up the Parquet files and the staging plan of the earlier version."""
    run = run_that_failed_at("embeddings", earlier)
    again = earlier.execute_again(run.run_id).checked()
    assert again.steps == STEPS[3:]
    assert again.metadata["embeddings"]["num_cached"] == 5
    assert earlier.problems_of_production() == ()


def _without_metadata(points: dict[str, Point]) -> dict[str, Point]:
    """Earlier versions had no metadata of documents."""
    return {
        identity: dataclasses.replace(
            point,
            payload=point.payload
            | {
                "locations": [
                    {key: value for key, value in location.items() if key != "metadata"}
                    for location in point.payload["locations"]
                ]
            },
        )
        for identity, point in points.items()
    }


def _documents_lie_where_they_did(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every document its original URI, as if the archive had not been unpacked elsewhere."""
    entry_of = FilesystemSource._entry

    def entry(source: FilesystemSource, path: str, status: os.stat_result) -> SourceEntry:
        made = entry_of(source, path, status)
        return dataclasses.replace(made, uri=made.uri.replace(str(pipeline.home), MADE_IN))

    monkeypatch.setattr(FilesystemSource, "_entry", entry)


def _take_back_the_last_edit(pipeline: Pipeline) -> None:
    """Return to the documents of production: the edit of the two failed runs was never promoted."""
    edited = pipeline.documents / LAPTOPS
    text, added, _ = edited.read_bytes().partition(b"Laptops are replaced every four years.")
    assert added
    edited.write_bytes(text)
    other = pipeline.documents / "it/software.txt"
    os.utime(edited, ns=(other.stat().st_mtime_ns,) * 2)
