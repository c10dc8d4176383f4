"""Each value in effect with its origin, and nothing secret."""

from pathlib import Path

import pytest

from rag_assets.effective_settings import (
    DEFAULT,
    LAUNCHPAD,
    NOT_SHOWN,
    EffectiveSetting,
    effective_settings,
    overrides,
    place_of,
)
from rag_assets.environment import SHELL, read_environment
from rag_assets.errors import ConfigurationError
from rag_assets.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and an environment without settings."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(variable: str, *overridden: str, **values: object) -> EffectiveSetting:
    rows = effective_settings(load_settings(**values), read_environment(), frozenset(overridden))
    assert [row.variable for row in rows] == [str(it.alias) for it in Settings.model_fields.values()]
    return next(row for row in rows if row.variable == variable)


def test_every_origin_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("RAG_CHUNK_SIZE") == EffectiveSetting("RAG_CHUNK_SIZE", "512", "512", DEFAULT)
    monkeypatch.setenv("RAG_CHUNK_SIZE", "100")
    assert found("RAG_CHUNK_SIZE") == EffectiveSetting("RAG_CHUNK_SIZE", "100", "512", SHELL)
    (home / ".env").write_text("RAG_CHUNK_SIZE=200\nSLACK_WEBHOOK_URL_FILE=secret\n", encoding="utf-8")
    (home / "secret").write_text("https://example.com/word", encoding="utf-8")
    assert found("RAG_CHUNK_SIZE").origin == str(home / ".env")
    assert found("RAG_CHUNK_SIZE", "chunk_size", chunk_size=300) == EffectiveSetting(
        "RAG_CHUNK_SIZE", "300", "512", LAUNCHPAD
    )
    assert found("SLACK_WEBHOOK_URL") == EffectiveSetting(
        "SLACK_WEBHOOK_URL", NOT_SHOWN, "", f"file {home / 'secret'}"
    )


def test_a_name_in_lower_case_has_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("rag_chunk_size", "100")
    assert found("RAG_CHUNK_SIZE") == EffectiveSetting("RAG_CHUNK_SIZE", "100", "512", SHELL)


def test_values_look_as_they_are_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_SOURCES", "filesystem, s3")
    monkeypatch.setenv("RAG_KEEP_FAILED_CANDIDATE", "yes")
    assert found("RAG_SOURCES").value == "filesystem,s3"
    assert found("RAG_KEEP_FAILED_CANDIDATE").value == "true"
    assert found("RAG_STATE_DIR").value == found("RAG_STATE_DIR").default == str(home / ".rag")
    assert found("QDRANT_URL").value == ""


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("OPENAI_API_KEY", "word", NOT_SHOWN),
        ("QDRANT_API_KEY", "word", NOT_SHOWN),
        ("QDRANT_URL", "http://ann:word@qdrant:6333", "http://qdrant:6333"),
        ("QDRANT_URL", "http://qdrant:6333?api_key=word", "http://qdrant:6333"),
        ("RAG_EMBEDDING_MODEL", "sk-wordwordwordwordword", NOT_SHOWN),
    ],
)
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, shown: str) -> None:
    monkeypatch.setenv(variable, value)
    assert found(variable).value == shown


def test_a_server_is_named_without_its_credentials() -> None:
    assert place_of(load_settings(qdrant_url="https://ann:word@qdrant:6333/db")) == "https://qdrant:6333/db"
    assert place_of(load_settings(qdrant_url="qdrant:6333")) == "qdrant:6333"


# Values for one run


def test_only_a_different_value_is_an_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_CHUNK_SIZE", "300")
    given = {"chunk_size": 300, "chunk_overlap": 8, "eval_threshold": 0.1, "sources": ["filesystem"]}
    run = load_settings(**given)
    assert [override.sentence("is", "now") for override in overrides(run, frozenset(given))] == [
        "RAG_SOURCES is filesystem in place of empty now",
        "RAG_CHUNK_OVERLAP is 8 in place of 50 now: the next refresh without it rebuilds the whole index",
        "RAG_EVAL_THRESHOLD is 0.1 in place of 0.75 now",
    ]
    assert overrides(run, frozenset()) == []


def test_an_override_may_stand_in_for_an_invalid_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_CHUNK_SIZE", "many")
    with pytest.raises(ConfigurationError):
        load_settings()
    (override,) = overrides(load_settings(chunk_size=300), frozenset({"chunk_size"}))
    assert override.sentence("is", "now").startswith("RAG_CHUNK_SIZE is 300 in place of an invalid value")
