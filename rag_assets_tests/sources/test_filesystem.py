import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.filesystem import FilesystemOptions, FilesystemSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder


def _write(path: Path, data: bytes = b"text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _source(root: Path, **settings: int) -> FilesystemSource:
    return FilesystemSource("filesystem", FilesystemOptions(folder=root, **settings))


def _paths(source: FilesystemSource) -> list[str]:
    return [entry.path for entry in source.list_entries()]


def _entry(path: str) -> SourceEntry:
    return SourceEntry(
        document_id=f"filesystem:{path}",
        source="filesystem",
        uri="",
        path=path,
        filename=path,
        version_token="",
        size_bytes=0,
    )


def test_a_document_is_described_completely(root: Path) -> None:
    file = _write(root / "hr" / "a b.TXT", b"12345")
    os.utime(file, ns=(0, 1_795_424_400_123_456_789))
    (entry,) = FilesystemSource("wiki", FilesystemOptions(folder=root)).list_entries()
    assert entry == SourceEntry(
        document_id="wiki:hr/a b.TXT",
        source="wiki",
        uri=f"file://{root}/hr/a%20b.TXT",
        path="hr/a b.TXT",
        filename="a b.TXT",
        version_token=f"5-1795424400123456789-{file.stat().st_ctime_ns}-{file.stat().st_ino}",
        size_bytes=5,
        modified_at="2026-11-23T09:00:00Z",
    )
    assert entry.uri == file.as_uri()


def test_listing_is_recursive_and_in_the_same_order_every_time(root: Path) -> None:
    for name in ("z.txt", "b/z.txt", "a.md", "b/c/d.txt", "b/a.txt", "c.txt", "a/z.txt"):
        _write(root / name)
    expected = ["a.md", "c.txt", "z.txt", "a/z.txt", "b/a.txt", "b/z.txt", "b/c/d.txt"]
    assert _paths(_source(root)) == expected
    assert _paths(_source(root)) == expected


def test_hidden_files_hidden_folders_and_editor_leftovers_are_left_out(root: Path) -> None:
    for name in (
        ".hidden.txt",
        ".git/x.txt",
        "a/.b/x.txt",
        "note.txt~",
        "~$report.txt",
        "~$x.md",
        "seen.txt",
    ):
        _write(root / name)
    source = _source(root)
    assert _paths(source) == ["seen.txt"]
    assert not source.left_out


def test_the_count_of_files_without_a_parser_is_per_listing(root: Path) -> None:
    for name in ("a.txt", "b.exe", "c.o", "d/e.psd"):
        _write(root / name)
    source = _source(root)
    for _ in range(2):
        assert _paths(source) == ["a.txt"]
        assert sum(source.left_out.values()) == 3


def test_an_empty_folder_is_an_empty_source(root: Path) -> None:
    assert _paths(_source(root)) == []


def test_the_version_token_changes_with_the_bytes(root: Path) -> None:
    file = _write(root / "a.txt", b"one")
    (before,) = _source(root).list_entries()
    _write(file, b"three")
    (after,) = _source(root).list_entries()
    assert before.version_token != after.version_token
    assert before.document_id == after.document_id


def test_a_relative_root_gives_absolute_uris(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _write(root / "a.txt")
    monkeypatch.chdir(root.parent)
    source = _source(Path("documents"))
    monkeypatch.chdir("/")
    (entry,) = source.list_entries()
    assert entry.uri == file.as_uri()
    assert source.read(entry).data == b"text"


# --- links ---------------------------------------------------------------------------------------


def test_a_link_out_of_the_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    secret = _write(tmp_path / "secret" / "key.txt", b"secret")
    _write(tmp_path / "documents-2" / "x.txt")
    _write(root / "a.txt")
    (root / "file.txt").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    (root / "sibling").symlink_to(tmp_path / "documents-2")
    (root / "chain.txt").symlink_to(root / "file.txt")
    source = _source(root)
    assert _paths(source) == ["a.txt"]
    assert source.left_out["(link)"] == 4
    for path in ("file.txt", "folder/key.txt", "../secret/key.txt", "chain.txt"):
        with pytest.raises(DocumentUnreadable) as caught:
            source.read(_entry(path))
        assert caught.value.reason == "unreadable"


def test_a_file_replaced_by_a_link_to_outside_is_not_read(root: Path, tmp_path: Path) -> None:
    file = _write(root / "a.txt")
    source = _source(root)
    (entry,) = source.list_entries()
    file.unlink()
    file.symlink_to(_write(tmp_path / "secret.txt"))
    with pytest.raises(DocumentUnreadable, match="leads out"):
        source.read(entry)


def test_a_link_to_a_file_inside_is_a_document_of_its_own(root: Path) -> None:
    target = _write(root / ".data" / "2026" / "a.txt", b"inside")
    (root / "current.txt").symlink_to(target)
    (root / "notes").symlink_to(root / ".data" / "2026")
    source = _source(root)
    entries = list(source.list_entries())
    assert [entry.path for entry in entries] == ["current.txt", "notes/a.txt"]
    assert [source.read(entry).data for entry in entries] == [b"inside"] * 2
    assert entries[0].uri == f"file://{root}/current.txt"


def test_a_link_with_a_new_target_has_a_new_version(root: Path) -> None:
    first, second = _write(root / ".v1.txt", b"1"), _write(root / ".v2.txt", b"22")
    link = root / "current.txt"
    link.symlink_to(first)
    (before,) = _source(root).list_entries()
    link.unlink()
    link.symlink_to(second)
    (after,) = _source(root).list_entries()
    assert before.version_token != after.version_token


def test_loops_of_links_end_and_no_folder_is_listed_twice(root: Path) -> None:
    for name in ("a", "b", "c"):
        _write(root / name / "x.txt")
    for name in ("a", "b", "c"):
        for other in ("a", "b", "c"):
            (root / name / f"to-{other}").symlink_to(root / other)
        (root / name / "to-root").symlink_to(root)
    (root / "0-early").symlink_to(root / "c")
    (root / "self.txt").symlink_to(root / "self.txt")
    (root / "ping.txt").symlink_to(root / "pong.txt")
    (root / "pong.txt").symlink_to(root / "ping.txt")
    source = _source(root)
    assert sorted(_paths(source)) == ["a/x.txt", "b/x.txt", "c/x.txt"]
    assert source.left_out["(link)"] == 3
    with pytest.raises(DocumentUnreadable):
        source.read(_entry("self.txt"))


def test_a_dangling_link_is_skipped(root: Path) -> None:
    (root / "gone.txt").symlink_to(root / "nowhere" / "x.txt")
    _write(root / "file.o")
    (root / "under-file.txt").symlink_to(root / "file.o" / "x.txt")
    source = _source(root)
    assert _paths(source) == []
    assert source.left_out["(link)"] == 2


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    _write(root / "a.txt")
    link = tmp_path / "link"
    link.symlink_to(root)
    source = _source(link)
    (entry,) = source.list_entries()
    assert entry.uri == f"file://{link}/a.txt"
    assert source.read(entry).data == b"text"


# --- what is not a file ----------------------------------------------------------------------------


@pytest.fixture
def odd_files(root: Path) -> Iterator[Path]:
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # the name of a socket may have 107 bytes only
        server.bind("socket.txt")
        os.chdir(here)
        yield root


def test_pipes_and_sockets_are_neither_listed_nor_opened(odd_files: Path) -> None:
    (odd_files / "link.txt").symlink_to(odd_files / "pipe.txt")
    source = _source(odd_files)
    assert _paths(source) == []
    assert sum(source.left_out.values()) == 3


@pytest.mark.parametrize("name", ["pipe.txt", "socket.txt"])
def test_a_file_replaced_by_a_pipe_does_not_block_the_reader(odd_files: Path, name: str) -> None:
    caught: list[BaseException] = []

    def read() -> None:
        try:
            _source(odd_files).read(_entry(name))
        except DocumentUnreadable as error:
            caught.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_a_file_replaced_by_a_folder_is_unreadable(root: Path) -> None:
    (root / "a.txt").mkdir()
    with pytest.raises(DocumentUnreadable, match="unreadable"):
        _source(root).read(_entry("a.txt"))


# --- failures --------------------------------------------------------------------------------------


def test_a_missing_root_does_not_look_empty(root: Path) -> None:
    root.rmdir()
    with pytest.raises(SourceUnavailable, match=r"documents cannot be read: No such file.*RAG_DOCUMENTS_DIR"):
        list(_source(root).list_entries())


def test_a_root_that_is_a_file_is_refused(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match="Not a directory"):
        list(_source(_write(root / "a.txt")).list_entries())


def test_new_bytes_with_an_old_modified_time_are_noticed(root: Path) -> None:
    first, second = _write(root / "a.txt", b"12345"), _write(root / "b.txt", b"54321")
    for file in (first, second):
        os.utime(file, ns=(0, 1_795_424_400_000_000_000))
    before = {entry.path: entry.version_token for entry in _source(root).list_entries()}
    time.sleep(0.02)  # the kernel's clock of files ticks every few milliseconds
    aside = root / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    after = {entry.path: entry.version_token for entry in _source(root).list_entries()}
    assert all(before[path] != after[path] for path in before)


def test_a_deleted_file_is_unreadable_but_the_source_is_not(root: Path) -> None:
    file = _write(root / "a.txt")
    source = _source(root)
    (entry,) = source.list_entries()
    file.unlink()
    with pytest.raises(DocumentUnreadable, match="No such file") as caught:
        source.read(entry)
    assert caught.value.reason == "unreadable"


def test_a_missing_root_during_reading_is_an_outage(root: Path) -> None:
    file = _write(root / "a.txt")
    source = _source(root)
    (entry,) = source.list_entries()
    file.unlink()
    root.rmdir()
    with pytest.raises(SourceUnavailable, match="RAG_DOCUMENTS_DIR"):
        source.read(entry)


def test_a_forbidden_file_is_unreadable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(root / "a.txt")
    source = _source(root)
    (entry,) = source.list_entries()

    opened = os.open

    def denied(path: object, *args: Any, **kwargs: Any) -> int:
        if path == "a.txt":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **kwargs)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DocumentUnreadable, match="Permission denied") as caught:
        source.read(entry)
    assert caught.value.reason == "unreadable"


def test_a_file_over_the_limit_is_listed_but_not_read(root: Path) -> None:
    _write(root / "big.txt", b"x" * 11)
    _write(root / "fits.txt", b"x" * 10)
    source = _source(root, max_bytes=10)
    big, fits = source.list_entries()
    assert source.read(fits).data == b"x" * 10
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(big)
    assert caught.value.reason == "too_large"


def test_reading_closes_its_files(root: Path) -> None:
    _write(root / "a.txt")
    source = _source(root, max_bytes=2)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with pytest.raises(DocumentUnreadable):
            source.read(_entry("a.txt"))
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- names -----------------------------------------------------------------------------------------


def test_names_in_invalid_utf8_have_valid_ids_and_can_be_read(root: Path) -> None:
    names = [b"caf\xe9.txt", b"caf%E9.txt", b"caf%25E9.txt", "café.txt".encode(), b"100%.txt", b"a%20b.txt"]
    for name in names:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    _write(Path(os.fsdecode(os.fsencode(root) + b"/m\xfcll/x.txt")), b"m\xfcll/x.txt")
    source = _source(root)
    entries = list(source.list_entries())
    assert len({entry.document_id for entry in entries}) == len(names) + 1
    assert {"caf%E9.txt", "café.txt", "100%.txt", "a%20b.txt", "m%FCll/x.txt"} < {e.path for e in entries}
    for entry in entries:
        for text in (entry.document_id, entry.path, entry.filename, entry.uri):
            text.encode()
        uri_bytes = unquote_to_bytes(urlsplit(entry.uri).path)
        assert source.read(entry).data == uri_bytes.removeprefix(os.fsencode(root) + b"/")


# --- registry --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hr/plan.xyz", "no parser for its format. Supported: "),
        ("plan.xyz", "no parser for its format"),
        ("filesystem:hr/plan.xyz", "no parser for its format"),
        ("hr/.draft.md", "hidden files and folders"),
        (".draft.md", "hidden files and folders"),
        (".git/a.md", "hidden files and folders"),
        ("~$plan.md", "leftovers of editors"),
        ("out.md", "leads out of the documents folder"),
        ("dead.md", "leads nowhere"),
        ("hr", "it is a folder"),
        ("pipe.md", "not a regular file"),
        ("../outside.md", "outside of the documents folder"),
        ("link/a.md", "listed under another name"),
    ],
)
def test_an_unlisted_file_is_explained(root: Path, name: str, reason: str) -> None:
    outside = _write(root.parent / "outside.md")
    for path in ("hr/plan.xyz", "hr/.draft.md", ".git/a.md", "~$plan.md", "hr/a.md"):
        _write(root / path)
    (root / "out.md").symlink_to(outside)
    (root / "dead.md").symlink_to(root / "gone.md")
    (root / "link").symlink_to(root / "hr")
    os.mkfifo(root / "pipe.md")
    source = _source(root)
    assert _paths(source) == ["hr/a.md"]
    assert reason in str(source.why_not_listed(name))


def test_a_full_path_and_a_uri_are_understood(root: Path) -> None:
    file = _write(root / "h r" / "größe.xyz")
    for name in (str(file), file.as_uri()):
        assert "no parser" in str(_source(root).why_not_listed(name))


def test_a_missing_file_is_not_explained(root: Path) -> None:
    _write(root / "a.md")
    for name in ("b.md", "hr/a.md", f"{root}/b.md", "filesystem:b.md", "file:///nowhere/b.md"):
        assert _source(root).why_not_listed(name) is None
