"""`rag-assets purge` after refreshes in Dagster: nothing of the document is left, in its storage either."""

import json
from pathlib import Path

import pytest

from rag_assets.fingerprint import name_hash
from rag_assets_tests.canary import CANARY, places_of
from rag_assets_tests.pipeline import Pipeline

SECRET = f"---\ntitle: {CANARY}\nauthor: {CANARY}\nkeywords: {CANARY}\n---\n# {CANARY}\n\n{CANARY}, and nobody else heard it.\n"


@pytest.fixture
def purgeable(promoted: Pipeline) -> Pipeline:
    pipeline = promoted
    pipeline.write("hr/secret.md", SECRET)
    pipeline.refresh().checked()
    pipeline.write("hr/secret.md", SECRET + "\nA second version.\n")
    pipeline.refresh().checked()
    return pipeline


def test_the_sentence_is_in_zero_bytes_of_state_and_dagster(purgeable: Pipeline, tmp_path: Path) -> None:
    state = purgeable.state_dir
    assert any("metadata.sqlite" in place for place in places_of("hr/secret.md", state))
    assert places_of(CANARY, state)
    dagster = purgeable.home / "dagster"
    assert dagster.is_dir()
    plan = purgeable.json("plan", "--json")
    assert plan
    said = purgeable.succeed("purge", "secret.md", "--by", "ana", "--reason", "a request")
    assert "purged         filesystem:hr/secret.md" in said
    assert places_of(CANARY, state, dagster) == []
    run = purgeable.refresh().checked()
    assert run.metadata["deduped_documents"]["num_added"] == 0
    assert run.metadata["staging_collection"]["written"] is False
    assert places_of(CANARY, state, dagster) == []
    assert purgeable.status()["purged"][0]["document_hash"] == name_hash("filesystem:hr/secret.md")
    assert purgeable.json("trace", "secret.md", "--json")["outcome"] == "purged"
    planned = purgeable.json("plan", "--json")
    assert planned["deduped_documents"]["num_added"] == 0
    listed = purgeable.json("purge", "--list", "--json")["documents"]
    assert [(one["document_hash"], one["by"], one["reason"]) for one in listed] == [
        (name_hash("filesystem:hr/secret.md"), "ana", "a request")
    ]
    purgeable.succeed("backup", str(tmp_path / "backup"))
    assert places_of(CANARY, tmp_path / "backup") == []
    purgeable.configure(RAG_STATE_DIR=str(tmp_path / "restored"))
    purgeable.succeed("restore", str(tmp_path / "backup"))
    assert (tmp_path / "restored" / "metadata.sqlite").exists()
    assert places_of(CANARY, tmp_path / "restored") == []
    purgeable.configure(RAG_STATE_DIR=str(state))
    purgeable.succeed("purge", "--lift", "secret.md")
    purgeable.refresh().checked()
    assert "filesystem:hr/secret.md" in purgeable.served()


def test_exit_codes_tell_a_refusal_from_the_gate(purgeable: Pipeline) -> None:
    purgeable.write("it/copy.md", SECRET + "\nA second version.\n")
    purgeable.refresh().checked()
    code, _, errors = purgeable.command("purge", "hr/secret.md")
    assert (code, "filesystem:it/copy.md" in errors) == (4, True)
    assert "filesystem:hr/secret.md" in purgeable.served()
    assert purgeable.command("purge", "never_written.md")[0] == 4
    purgeable.write_benchmark_for([0])
    code, _, errors = purgeable.command("purge", "topic00.md")
    assert (code, "1 question of the benchmark expected it" in errors) == (3, True)
    report = json.loads(purgeable.succeed("purge", "topic00.md", "--accept", "--json"))
    assert (report["document_ids"], report["num_questions"]) == (["filesystem:topic00.md"], 1)
    assert "filesystem:topic00.md" not in purgeable.served()
