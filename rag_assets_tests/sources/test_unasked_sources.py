"""A source that is set up, but not named in RAG_SOURCES, is reported once."""

from pathlib import Path

import pytest

from rag_assets.sources.unasked_sources import unasked_sources


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_variables_of_a_kind_that_is_not_asked_are_reported(here: Path) -> None:
    environment = {
        "RAG_S3_BUCKET": "b",
        "RAG_S3_PREFIX": "p",
        "RAG_DOCUMENTS_DIR": "x",
        "RAG_POSTGRES_DSN": "",
    }
    assert unasked_sources((), None, environment) == {"s3": "RAG_S3_BUCKET is set"}
    assert unasked_sources(("filesystem", "s3"), None, environment) == {}


def test_the_file_of_a_secret_is_a_sign(here: Path) -> None:
    assert unasked_sources((), None, {"RAG_POSTGRES_DSN_FILE": "dsn"}) == {
        "postgres": "RAG_POSTGRES_DSN_FILE is set"
    }


def test_variables_of_other_programs_are_reported_for_their_kind(here: Path) -> None:
    environment = {"NOTION_TOKEN": "secret", "CONFLUENCE_URL": "u"}
    assert unasked_sources((), None, environment) == {
        "notion": "NOTION_TOKEN is set",
        "confluence": "CONFLUENCE_URL is set",
    }
    assert unasked_sources(("notion", "confluence"), None, environment) == {}


def test_lines_in_the_file_of_urls_are_reported(here: Path) -> None:
    (here / "data").mkdir()
    file = here / "data" / "urls_to_scrape.txt"
    file.write_text("# a comment\n\n")
    assert unasked_sources((), None, {}) == {}
    file.write_text("# a comment\nhttps://example.com/a\nhttps://example.com/b\n")
    assert unasked_sources((), None, {}) == {"urls": "data/urls_to_scrape.txt has 2 lines"}
    assert unasked_sources(("urls",), None, {}) == {}


def test_a_source_of_the_file_counts_by_its_kind(here: Path) -> None:
    declared = here / "sources.yaml"
    declared.write_text("sources:\n  wiki:\n    kind: notion\n    token: ${NOTION_TOKEN}\n")
    environment = {"NOTION_TOKEN": "secret"}
    assert unasked_sources((), declared, environment) == {}
    assert unasked_sources(("filesystem",), declared, {"NOTION_TOKEN_FILE": "token"}) == {}
    # Left out of RAG_SOURCES on purpose, like its variable.
    assert unasked_sources(("filesystem",), declared, environment) == {}
