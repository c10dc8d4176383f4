"""A state folder among the documents is refused: each refresh would read what the last one wrote."""

from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings


@pytest.fixture(params=["filesystem", "fsspec"])
def documents(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of documents, read by this source."""
    folder = tmp_path / "documents"
    folder.mkdir()
    monkeypatch.setenv("RAG_SOURCES", request.param)
    monkeypatch.setenv("RAG_DOCUMENTS_DIR", str(folder))
    monkeypatch.setenv("RAG_FSSPEC_URL", f"file://{folder}")
    return folder


def _sources(state: Path, **more: Any) -> list[str]:
    knowledge_base = KnowledgeBase(load_settings(state_dir=state, **more))
    return [source.name for source in knowledge_base.sources()]


@pytest.mark.parametrize("below", ["", "state", "made/later/state"])
def test_a_state_folder_among_the_documents_is_refused(documents: Path, below: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_STATE_DIR: .* below the documents of source"):
        _sources(documents / below)


def test_a_link_to_the_documents_is_seen_through(documents: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(documents)
    with pytest.raises(ConfigurationError, match="RAG_STATE_DIR"):
        _sources(tmp_path / "link" / "state")


def test_other_places_are_allowed(documents: Path, tmp_path: Path) -> None:
    """Also a hidden folder, which no source lists."""
    for state in (tmp_path / "state", documents / ".rag", documents / ".hidden" / "state", tmp_path):
        assert len(_sources(state)) == 1
