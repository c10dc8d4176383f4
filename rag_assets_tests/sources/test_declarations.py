"""Sources from variables and from a file, and errors of invalid declarations."""

from pathlib import Path

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.sources.declarations import build_sources, variable_of
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets.sources.urls import UrlsSource


def declared(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


TWO_FOLDERS = """
sources:
  handbook:
    kind: filesystem
    folder: ${HANDBOOK}
    access: [staff]
  archive:
    kind: filesystem
    folder: /srv/archive
    max_bytes: 1000
"""


def test_the_default_source_is_the_folder_of_documents() -> None:
    (source,) = build_sources((), None, {"RAG_DOCUMENTS_DIR": "/srv/documents"})
    assert isinstance(source, FilesystemSource)
    assert (source.name, source.root) == ("filesystem", Path("/srv/documents"))


def test_a_file_declares_several_sources_of_a_kind(tmp_path: Path) -> None:
    path = declared(tmp_path, TWO_FOLDERS)
    handbook, archive = build_sources((), path, {"HANDBOOK": "/srv/handbook"})
    assert isinstance(handbook, FilesystemSource)
    assert isinstance(archive, FilesystemSource)
    assert (handbook.name, handbook.root, handbook.options.access) == (
        "handbook",
        Path("/srv/handbook"),
        ("staff",),
    )
    assert (archive.name, archive.root, archive.max_bytes) == ("archive", Path("/srv/archive"), 1000)
    assert archive.options.access is None


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    path = declared(
        tmp_path,
        "sources: {docs: {kind: filesystem, folder: ~/docs}, pages: {kind: urls, file: ~/pages.txt}}",
    )
    docs, pages = build_sources((), path, {})
    assert isinstance(docs, FilesystemSource)
    assert isinstance(pages, UrlsSource)
    assert docs.root == Path("/home/ann/docs")
    assert pages.options.file == Path("/home/ann/pages.txt")


def test_names_select_sources_of_the_file_and_kinds_without_duplicates(tmp_path: Path) -> None:
    path = declared(tmp_path, TWO_FOLDERS)
    sources = build_sources(["archive", "filesystem", "archive"], path, {})
    assert [source.name for source in sources] == ["archive", "filesystem"]


def test_a_list_in_a_variable_is_separated_by_commas() -> None:
    (source,) = build_sources(("filesystem",), None, {"RAG_FILESYSTEM_ACCESS": "staff, board"})
    assert source.options.access == ("staff", "board")


def test_a_secret_option_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("word\n", encoding="utf-8")
    (tmp_path / "options").write_text('{"key": "word"}\n', encoding="utf-8")
    environment = {
        "RAG_CONFLUENCE_URL": "https://wiki.example.com",
        "RAG_CONFLUENCE_TOKEN_FILE": "token",
        "RAG_CONFLUENCE_SPACES": "HR",
        "RAG_FSSPEC_URL": "memory://documents",
        "RAG_FSSPEC_STORAGE_OPTIONS_FILE": str(tmp_path / "options"),
    }
    wiki, files = build_sources(["confluence", "fsspec"], None, environment, tmp_path)
    assert wiki.options.token.get_secret_value() == "word"  # pyright: ignore[reportAttributeAccessIssue]
    assert files.options.storage_options == {"key": "word"}  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(
        ConfigurationError, match="RAG_CONFLUENCE_TOKEN and RAG_CONFLUENCE_TOKEN_FILE are both"
    ):
        build_sources(["confluence"], None, environment | {"RAG_CONFLUENCE_TOKEN": "word"}, tmp_path)


def test_a_variable_of_the_file_of_sources_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("word\n", encoding="utf-8")
    path = declared(
        tmp_path, "sources: {wiki: {kind: confluence, url: https://w, spaces: [HR], token: '${WIKI}'}}"
    )
    (wiki,) = build_sources((), path, {"WIKI_FILE": "token"}, tmp_path)
    assert wiki.options.token.get_secret_value() == "word"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_folder_of_documents_keeps_its_older_variable() -> None:
    assert variable_of("filesystem", "folder") == "RAG_DOCUMENTS_DIR"
    assert variable_of("s3", "bucket") == "RAG_S3_BUCKET"


def test_an_unknown_name_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    path = declared(tmp_path, TWO_FOLDERS)
    with pytest.raises(
        ConfigurationError, match=r"RAG_SOURCES: unknown source carrier_pigeon\. Known: archive, .*handbook"
    ):
        build_sources(["carrier_pigeon"], path, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [", r"sources\.yaml, line 1: invalid YAML"),
        ("a: 1", "expected one key, `sources:`"),
        ("sources: {}", "expected one key, `sources:`"),
        ("sources: {a: {folder: x}}", "source a: `kind` is missing. Known kinds: .*filesystem"),
        ("sources: {a: {kind: s3}}", r"sources\.yaml: source a: bucket: required, but not set"),
        ("sources: {a: {kind: pigeon}}", "source a: unknown kind pigeon"),
        ("sources: {'a:b': {kind: filesystem}}", "invalid source name 'a:b'"),
        ("sources: {a: {kind: filesystem, folder: '${NOWHERE}'}}", r"source a: \$\{NOWHERE\} is not set"),
        (
            "sources: {a: {kind: filesystem, max_bytes: many}}",
            "source a: max_bytes: expected a whole number greater than 0, found `many`",
        ),
        (
            "sources: {a: {kind: filesystem, path: x}}",
            "source a: path: unknown option; a source of kind filesystem has .*folder",
        ),
    ],
)
def test_an_invalid_declaration_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_sources((), declared(tmp_path, text), {})


def test_an_invalid_variable_is_named_without_its_value() -> None:
    with pytest.raises(ConfigurationError, match="RAG_FILESYSTEM_MAX_BYTES: ") as caught:
        build_sources((), None, {"RAG_FILESYSTEM_MAX_BYTES": "a secret"})
    assert "a secret" not in str(caught.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_SOURCES_FILE: file .*none\.yaml not found"):
        build_sources((), tmp_path / "none.yaml", {})
