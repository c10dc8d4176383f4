import os
from pathlib import Path
from typing import Any

import pytest

from rag_assets import embedding
from rag_assets.inspection import plan as plan_module
from rag_assets.inspection.plan import describe, plan
from rag_assets.settings import Settings, load_settings


def _write(path: Path, text: str) -> None:
    """Write a file, modified long ago: one just written is read twice, two seconds apart."""
    path.write_text(text)
    os.utime(path, (1, 1))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Twelve documents that were never refreshed."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(12):
        _write(documents / f"{number:02}.md", f"# Number {number}\n\nThe text of document {number}.\n")
    return load_settings(documents_dir=documents, state_dir=tmp_path / "state")


def test_a_long_list_is_shortened_and_the_totals_are_complete(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "_MOST_DOCUMENTS", 11)
    planned = plan(settings)
    assert planned["deduped_documents"]["num_added"] == 12
    assert len(planned["deduped_documents"]["documents"]["added"]) == 11
    said = describe(planned)
    assert "12 added" in said
    assert said.count("filesystem:") == 10
    assert "and 2 more" in said


@pytest.mark.slow
def test_texts_of_several_windows_are_counted_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "WINDOW", 5)
    for path in list(settings.documents_dir.iterdir())[:3]:
        _write(path.with_name(f"copy_of_{path.name}"), path.read_text() + "\n# Appendix\n\nThe same.\n")
    small = settings.model_copy(update={"chunk_size": 16, "chunk_overlap": 0})
    whole = plan(settings)["embeddings"]
    parts = plan(small)
    assert whole["num_texts"] == 15
    assert parts["chunks"]["num_chunks"] > parts["embeddings"]["num_texts"] > 15
    assert parts["embeddings"]["num_tokens"] < parts["chunks"]["num_tokens"]


def test_a_degraded_source_and_bad_documents_are_reported(settings: Settings) -> None:
    _write(settings.documents_dir / "empty.txt", "")
    report: dict[str, Any] = plan(settings)
    report["raw_documents"]["unreadable_sources"] = {"s3": "the bucket is gone"}
    said = describe(report)
    assert (
        "quarantined  filesystem:empty.txt: empty, The file has no bytes. (no version of it is served)"
        in said
    )
    assert "DEGRADED       source s3: the bucket is gone" in said
