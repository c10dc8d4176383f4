"""A misspelt variable is told, with what was probably meant, and never with its value."""

from pathlib import Path

import pytest

from rag_assets.settings import Settings
from rag_assets.sources import SOURCES
from rag_assets.sources.declarations import variable_of
from rag_assets.sources.unread_variables import unread_variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RAG_DOCUMENT_DIR", "RAG_DOCUMENTS_DIR"),
        ("RAG_CHUNKSIZE", "RAG_CHUNK_SIZE"),
        ("RAG_S3_BUKET", "RAG_S3_BUCKET"),
        ("RAG_QDRANT_URL", "QDRANT_URL"),
        ("RAG_OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("RAG_FILESYSTEM_FOLDER", "RAG_DOCUMENTS_DIR"),
        ("RAG_s3_bucket", "RAG_S3_BUCKET"),
    ],
)
def test_what_was_probably_meant_is_named(name: str, meant: str) -> None:
    assert unread_variables([name]) == [f"{name} is no setting: did you mean {meant}?"]


def test_what_resembles_nothing_is_told_where_the_settings_are() -> None:
    assert unread_variables(["RAG_XYZZY"]) == ["RAG_XYZZY is no setting: see docs/settings.md"]


def test_nothing_is_said_of_what_is_read() -> None:
    settings = [str(field.alias) for field in Settings.model_fields.values()]
    options = [
        variable_of(kind, option)
        for kind, source in SOURCES.items()
        for option in source.Options.model_fields
    ]
    assert unread_variables([*settings, *options, "RAG_documents_dir"]) == []


def test_nothing_is_said_of_what_belongs_to_others() -> None:
    assert unread_variables(["PATH", "STORAGE_DIR", "DRAG_DOCUMENT_DIR", "OPENAI_API_KEE"]) == []


def test_what_the_sources_file_refers_to_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources: {a: {kind: filesystem, folder: '${RAG_HANDBOOK}'}}", encoding="utf-8")
    assert unread_variables(["RAG_HANDBOOK"]) != []
    assert unread_variables(["RAG_HANDBOOK"], path) == []


def test_a_sources_file_that_cannot_be_read_is_told_elsewhere(tmp_path: Path) -> None:
    assert unread_variables(["RAG_SOURCES_FILE"], tmp_path / "none.yaml") == []
