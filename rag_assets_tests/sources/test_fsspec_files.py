"""Files on file systems of fsspec: listings, versions, and outages that must not look empty."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import ValidationError

from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.records import Outage
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.fsspec_files import FsspecOptions, FsspecSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.fsspec_files import FsspecScene, TroubledFileSystem


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[FsspecScene]:
    scene = FsspecScene(tmp_path)
    yield scene
    scene.close()


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    file_system = MemoryFileSystem()
    file_system.pipe_file("/docs/a.txt", b"text of a")
    yield file_system
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server with listings, but without versions of files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    (tmp_path / "docs" / "inner").mkdir(parents=True)
    (tmp_path / "docs" / "a b.txt").write_text("text of a b")
    (tmp_path / "docs" / "inner" / "c.md").write_text("text of c")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/docs"
    server.shutdown()
    server.server_close()


def source_of(url: str, **options: Any) -> FsspecSource:
    return FsspecSource("files", FsspecOptions(url=url, **options))


def paths_of(source: FsspecSource) -> list[str]:
    return [entry.path for entry in source.list_entries()]


def problem_of(source: FsspecSource) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        list(source.list_entries())
    return str(caught.value)


# What is listed


def test_hidden_files_links_and_unsupported_files_are_left_out(scene: FsspecScene, tmp_path: Path) -> None:
    scene.put("a", "text")
    for name in (".hidden.txt", "~$lock.docx", "old.txt~", ".git/x.txt", "photo.psd", "LICENSE"):
        path = scene.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_text("x")
    (scene.folder / "link").symlink_to(tmp_path / "secret")
    (scene.folder / "link.txt").symlink_to(tmp_path / "secret" / "s.txt")
    (scene.folder / "circle").symlink_to(scene.folder)
    source = source_of(f"troubled://{scene.folder}")
    assert sorted(paths_of(source)) == ["LICENSE", "a/a.txt"]
    assert sum(source.left_out.values()) == 4


def test_listed_names_outside_of_the_folder_are_left_out(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        "/docs/ok.txt",
        "/other/b.txt",
        "/docs/../c.txt",
        "/docs/..",
        "/docs/deep/d.txt",
        "/docsd.txt",
        "/docs",
    ]
    listing = [{"name": name, "size": 1, "type": "file"} for name in names]
    monkeypatch.setattr(MemoryFileSystem, "ls", lambda *args, **kwargs: listing)
    assert paths_of(source_of("memory://docs")) == ["ok.txt"]


def test_the_root_of_a_file_system_is_a_folder_too(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/b.txt", b"b")
    asked: list[str] = []
    ls = MemoryFileSystem.ls

    def noted(self: Any, path: str, **kwargs: Any) -> Any:
        asked.append(path)
        return ls(self, path, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "ls", noted)
    assert sorted(paths_of(source_of("memory://"))) == ["b.txt", "docs/a.txt"]
    # For local files "" would be the folder that the process happens to be in.
    assert asked == ["/", "/docs"]


def test_an_entry_has_a_uri_for_people(memory: MemoryFileSystem) -> None:
    memory.pipe_file("/docs/inner/b 100%.txt", b"b")
    entries = {entry.path: entry for entry in source_of("memory://docs/").list_entries()}
    entry = entries["inner/b 100%.txt"]
    assert (entry.uri, entry.filename) == ("memory://docs/inner/b%20100%25.txt", "b 100%.txt")


def test_no_listing_is_taken_from_a_cache(scene: FsspecScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put("a", "text")
    ls = TroubledFileSystem.ls

    def remembered(self: Any, path: str, **kwargs: Any) -> Any:
        return self.__dict__.setdefault("listings", {}).setdefault(path, ls(self, path, **kwargs))

    monkeypatch.setattr(TroubledFileSystem, "ls", remembered)
    source = source_of(f"troubled://{scene.folder}")
    assert paths_of(source) == ["a/a.txt"]
    scene.put("b", "text")
    assert paths_of(source) == ["a/a.txt", "b/b.txt"]


# Versions


@pytest.mark.parametrize(
    ("info", "token"),
    [
        ({"ETag": '"abc"', "LastModified": "x"}, '5-"abc"'),
        ({"md5Hash": "abc="}, "5-abc="),
        ({"mtime": 12.5}, "5-12.5"),
        ({"created": 12.5}, ""),
        ({"ETag": None}, ""),
    ],
)
def test_the_version_comes_from_the_metadata_of_the_file_system(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], token: str
) -> None:
    listing = [{"name": "/docs/a.txt", "size": 5, "type": "file", **info}]
    monkeypatch.setattr(MemoryFileSystem, "ls", lambda *args, **kwargs: listing)
    (entry,) = source_of("memory://docs").list_entries()
    assert entry.version_token == token


def test_without_a_version_the_content_is_compared(memory: MemoryFileSystem) -> None:
    source = source_of("memory://docs")
    (entry,) = source.list_entries()
    assert entry.version_token == ""
    reading = source.read(entry)
    assert reading is not None
    assert source.read(entry, reading.version_token) is None
    memory.pipe_file("/docs/a.txt", b"text of b")
    assert source.read(entry, reading.version_token) is not None


def test_files_are_read_from_a_web_server(site: str) -> None:
    require("aiohttp")
    source = source_of(site)
    entries = list(source.list_entries())
    assert [(entry.path, entry.uri) for entry in entries] == [
        ("a%20b.txt", f"{site}/a%20b.txt"),
        ("inner/c.md", f"{site}/inner/c.md"),
    ]
    readings = [source.read(entry) for entry in entries]
    assert [reading and reading.data for reading in readings] == [b"text of a b", b"text of c"]
    assert "files" in problem_of(source_of(f"{site}/missing"))


# Reading


def test_a_file_over_the_size_limit_is_not_read(scene: FsspecScene) -> None:
    scene.put("a", "x" * 100)
    source = source_of(f"troubled://{scene.folder}", max_bytes=99)
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(entry)
    assert caught.value.reason == "too_large"
    assert scene.num_bodies == 0


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_file_changed_meanwhile_is_looked_at_again(
    scene: FsspecScene, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    scene.put("a", "text")
    scene.put("b", "text")
    source = source_of(f"troubled://{scene.folder}")
    entries = list(source.list_entries())
    cat = TroubledFileSystem.cat_file

    def changes(self: Any, path: str, **kwargs: Any) -> Any:
        data = cat(self, path, **kwargs)
        if path.endswith("a.txt"):
            scene.put("a", "longer text")
        return data

    if when == "before":
        scene.put("a", "longer text")
    else:
        monkeypatch.setattr(TroubledFileSystem, "cat_file", changes)
    readings = [source.read(entry) for entry in entries]
    assert [reading and reading.is_settled for reading in readings] == [False, True]


def test_a_file_listed_and_then_missing_is_unreadable(scene: FsspecScene) -> None:
    scene.put("a", "text")
    source = source_of(f"troubled://{scene.folder}")
    (entry,) = source.list_entries()
    scene.remove("a")
    with pytest.raises(DocumentUnreadable, match="next refresh") as caught:
        source.read(entry)
    assert not isinstance(caught.value, DocumentGone)


def test_no_file_is_gone_if_the_folder_is_missing(scene: FsspecScene) -> None:
    scene.put("a", "text")
    source = source_of(f"troubled://{scene.folder}")
    (entry,) = source.list_entries()
    scene.folder.rename(scene.folder.with_name("away"))
    with pytest.raises(SourceUnavailable):
        source.read(entry)


def test_an_unreadable_file_affects_only_itself(scene: FsspecScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put("a", "text")
    source = source_of(f"troubled://{scene.folder}")
    (entry,) = source.list_entries()

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise PermissionError("a secret")

    monkeypatch.setattr(TroubledFileSystem, "open", forbidden)
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(entry)
    assert "PermissionError" in str(caught.value)
    assert "secret" not in str(caught.value)


# What must not look empty


def test_an_unreadable_inner_folder_is_an_outage_of_itself(scene: FsspecScene) -> None:
    for name in "abde":
        scene.put(name, "text")
    source = source_of(f"troubled://{scene.folder}")
    with scene.failing("torn listing"):
        # This is why `find` is not used.
        assert len(TroubledFileSystem().find(str(scene.folder), on_error="raise")) == 3
        assert paths_of(source) == ["a/a.txt", "b/b.txt", "e/e.txt"]
    assert list(source.outages()) == [Outage("files", "d/", "cannot be listed (OSError)", below="d/")]
    assert len(paths_of(source)) == 4
    assert list(source.outages()) == []


def test_a_file_in_place_of_another_of_equal_size_and_time_is_noticed(scene: FsspecScene) -> None:
    for name, text in (("a", "one"), (".b", "two")):
        scene.put(name, text)
        os.utime(scene.folder / name / f"{name}.txt", (1_700_000_000, 1_700_000_000))
    source = source_of(f"troubled://{scene.folder}")
    [before] = source.list_entries()
    (scene.folder / ".b" / ".b.txt").rename(scene.folder / "a" / "a.txt")
    [after] = source.list_entries()
    assert before.version_token != after.version_token


def test_a_missing_folder_does_not_look_empty(memory: MemoryFileSystem) -> None:
    assert "does not exist" in problem_of(source_of("memory://missing"))


def test_a_time_limit_below_a_second_is_reported_exactly(scene: FsspecScene) -> None:
    source = source_of(f"troubled://{scene.folder}", timeout_seconds=0.2)
    with scene.failing("hang"):
        assert "did not answer within 0.2 s" in problem_of(source)


def test_an_existing_empty_folder_is_empty(scene: FsspecScene) -> None:
    assert paths_of(source_of(f"troubled://{scene.folder}")) == []


def test_a_file_in_the_place_of_the_folder_does_not_look_empty(memory: MemoryFileSystem) -> None:
    assert "is not a folder" in problem_of(source_of("memory://docs/a.txt"))


# Options


@pytest.mark.parametrize("url", ["/srv/docs", "sftp://me:secret@host/docs", "simplecache::memory://docs"])
def test_urls_other_than_a_plain_folder_are_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        source_of(url)
    assert "secret" not in str(caught.value)


def test_the_package_to_install_is_named() -> None:
    with pytest.raises(ConfigurationError, match="fsspec does not support URLs with nothing://"):
        source_of("nothing://docs")
    from fsspec.registry import known_implementations

    known_implementations["absent"] = {
        "class": "no_such_package.FileSystem",
        "err": "Install no_such_package",
    }
    try:
        with pytest.raises(ConfigurationError, match="Install no_such_package"):
            source_of("absent://docs")
    finally:
        del known_implementations["absent"]


def test_storage_options_reach_the_file_system_and_are_not_shown(scene: FsspecScene) -> None:
    source = source_of(f"troubled://{scene.folder}", storage_options={"key": "secret"})
    assert paths_of(source) == []
    assert source._file_system.storage_options == {"key": "secret"}
    assert "secret" not in repr(source.options)


def test_a_variable_may_hold_the_storage_options_as_json() -> None:
    (source,) = build_sources(
        ["fsspec"], None, {"RAG_FSSPEC_URL": "memory://docs", "RAG_FSSPEC_STORAGE_OPTIONS": '{"key": "x"}'}
    )
    assert getattr(source.options, "storage_options", None) == {"key": "x"}
