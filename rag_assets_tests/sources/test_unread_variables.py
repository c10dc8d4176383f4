"""Misspelled variables are reported with a suggestion and without their values."""

from pathlib import Path

import pytest

from rag_assets.settings import Settings
from rag_assets.sources.declarations import variable_of
from rag_assets.sources.registry import SOURCES
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
def test_the_most_similar_setting_is_suggested(name: str, meant: str) -> None:
    assert unread_variables([name]) == [f"Unknown setting {name}; did you mean {meant}?"]


def test_without_a_similar_setting_the_page_is_named() -> None:
    assert unread_variables(["RAG_XYZZY"]) == ["Unknown setting RAG_XYZZY; see docs/settings.md"]


def test_known_variables_are_not_reported() -> None:
    settings = [str(field.alias) for field in Settings.model_fields.values()]
    options = [
        variable_of(kind, option)
        for kind, source in SOURCES.items()
        for option in source.Options.model_fields
    ]
    assert unread_variables([*settings, *options, "RAG_documents_dir"]) == []


def test_files_of_secrets_are_known() -> None:
    secrets = ["RAG_MEDIA_API_KEY_FILE", "RAG_POSTGRES_DSN_FILE", "RAG_FSSPEC_STORAGE_OPTIONS_FILE"]
    assert unread_variables(secrets) == []
    assert unread_variables(["RAG_CHUNK_SIZE_FILE"]) != []


def test_variables_of_other_programs_are_not_reported() -> None:
    assert unread_variables(["PATH", "STORAGE_DIR", "DRAG_DOCUMENT_DIR", "OPENAI_API_KEE"]) == []


def test_variables_in_the_sources_file_are_known(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources: {a: {kind: filesystem, folder: '${RAG_HANDBOOK}'}}", encoding="utf-8")
    assert unread_variables(["RAG_HANDBOOK"]) != []
    assert unread_variables(["RAG_HANDBOOK", "RAG_HANDBOOK_FILE"], path) == []


def test_an_unreadable_sources_file_is_ignored(tmp_path: Path) -> None:
    assert unread_variables(["RAG_SOURCES_FILE"], tmp_path / "none.yaml") == []
