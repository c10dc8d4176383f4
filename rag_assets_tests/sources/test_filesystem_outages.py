"""A folder that cannot be read keeps its documents. Nothing outside of the documents folder is ever opened."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.disk.root_folder import RootFolder
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import Outage
from rag_assets.sources import filesystem
from rag_assets.sources.filesystem import FilesystemOptions, FilesystemSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("a/a.txt", "locked/deep/b.txt", "z/z.txt", "top.txt"):
        _write(tmp_path / "documents" / path)
    return tmp_path / "documents"


def _write(path: Path, data: bytes = b"text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _source(root: Path) -> FilesystemSource:
    return FilesystemSource("filesystem", FilesystemOptions(folder=root, access=None, max_bytes=1000))


def _paths(source: FilesystemSource) -> list[str]:
    return [entry.path for entry in source.list_entries()]


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, *names: str) -> None:
    """Let a call of `os` fail for files of these names. The tests run as root, who may do everything."""
    real: Callable[..., object] = getattr(os, function)

    def call(path: object, *args: object, **kwargs: object) -> object:
        if os.path.basename(str(path)) in names:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, function, call)


@pytest.mark.parametrize("name", ["locked", "deep"])
def test_only_the_folder_that_cannot_be_read_is_an_outage(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    refuse(monkeypatch, "open", name)
    source = _source(root)
    assert _paths(source) == ["top.txt", "a/a.txt", "z/z.txt"]
    place = {"locked": "locked/", "deep": "locked/deep/"}[name]
    assert list(source.outages()) == [Outage("filesystem", place, "Permission denied", below=place)]


def test_the_outages_are_those_of_the_last_listing(root: Path) -> None:
    source = _source(root)
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, "open", "locked")
        _paths(source)
    assert "locked/deep/b.txt" in _paths(source)
    assert list(source.outages()) == []


def test_the_folder_itself_is_an_outage_of_the_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "open", root.name)
    with pytest.raises(SourceUnavailable, match="Permission denied"):
        _paths(_source(root))


def test_a_name_in_invalid_utf8_is_escaped_as_in_the_ids(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.fsdecode(os.fsencode(root) + b"/m\xfcll")
    Path(folder).mkdir()
    refuse(monkeypatch, "open", os.path.basename(folder))
    source = _source(root)
    _paths(source)
    [outage] = source.outages()
    assert outage.below == outage.place == "m%FCll/"


def test_a_folder_deleted_meanwhile_is_an_outage_of_itself(root: Path) -> None:
    source = _source(root)
    entries = source.list_entries()
    assert next(entries).path == "top.txt"
    (root / "locked" / "deep" / "b.txt").unlink()
    (root / "locked" / "deep").rmdir()
    (root / "locked").rmdir()
    assert [entry.path for entry in entries] == ["a/a.txt", "z/z.txt"]
    assert [outage.below for outage in source.outages()] == ["locked/"]


@pytest.mark.parametrize("failure", ["a broken disk", "a forbidden file", "a forbidden link"])
def test_an_entry_that_cannot_be_examined_is_an_outage(
    root: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """A disk that fails in the middle of a folder, and targets that cannot be looked at."""
    source = _source(root)
    if failure == "a broken disk":
        scan = os.scandir

        def breaks(folder: int) -> object:
            entries = scan(folder)
            if "a.txt" in os.listdir(folder):
                entries.close()
                return _BreaksHalfway()
            return entries

        monkeypatch.setattr(os, "scandir", breaks)
        expected = Outage("filesystem", "a/", "Input/output error", below="a/")
    else:
        if failure == "a forbidden link":
            (root / "a" / "a.txt").rename(root / "a" / ".hidden.txt")
            (root / "a" / "a.txt").symlink_to(".hidden.txt")
        monkeypatch.setattr(FilesystemSource, "_status", _forbidden(FilesystemSource._status))
        expected = Outage(
            "filesystem", "a/a.txt", "Permission denied", below="a/a.txt/", paths=frozenset({"a/a.txt"})
        )
    assert _paths(source) == ["top.txt", "locked/deep/b.txt", "z/z.txt"]
    assert list(source.outages()) == [expected]


class _BreaksHalfway:
    def __enter__(self) -> "_BreaksHalfway":
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[object]:
        raise OSError(errno.EIO, "Input/output error")


def _forbidden(status: Callable[..., Any]) -> Callable[..., Any]:
    def of(root: RootFolder, path: str, entry: os.DirEntry[str]) -> object:
        if path == "a/a.txt":
            raise PermissionError(errno.EACCES, "Permission denied")
        return status(root, path, entry)

    return staticmethod(of)  # pyright: ignore[reportReturnType]


def test_lost_and_found_is_no_document_and_no_outage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(root / "lost+found" / "#123")
    refuse(monkeypatch, "open", "lost+found")
    source = _source(root)
    assert "lost+found/#123" not in _paths(source)
    assert list(source.outages()) == []


def test_a_folder_exchanged_for_a_link_between_the_check_and_the_open_is_not_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "outside" / "a.txt", b"secret")
    source = _source(root)
    entry = next(entry for entry in source.list_entries() if entry.path == "a/a.txt")
    realpath = os.path.realpath

    def exchanged_after_the_check(path: str) -> str:
        real = realpath(path)
        if str(path).endswith("a/a.txt") and not (root / "a").is_symlink():
            (root / "a").rename(root / "b")
            (root / "a").symlink_to(tmp_path / "outside")
        return real

    monkeypatch.setattr(os.path, "realpath", exchanged_after_the_check)
    with pytest.raises(DocumentUnreadable):
        source.read(entry)


def test_a_folder_exchanged_for_a_link_between_the_check_and_the_listing_is_not_listed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "outside" / "secret.txt", b"secret")
    opened = os.open

    def exchanged_before(path: object, *args: Any, **kwargs: Any) -> int:
        if path == "a":
            (root / "a").rename(root / "b")
            (root / "a").symlink_to(tmp_path / "outside")
        return opened(path, *args, **kwargs)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr(os, "open", exchanged_before)
    assert "a/secret.txt" not in _paths(_source(root))
    assert (root / "a").is_symlink()


def _same_times(first: Path, second: Path) -> bool:
    os.utime(first, ns=(0, 1_795_424_400_000_000_000))
    os.utime(second, ns=(0, 1_795_424_400_000_000_000))
    return first.stat().st_ctime_ns == second.stat().st_ctime_ns


@pytest.mark.parametrize("exchanged", ["a link", "a folder"])
def test_other_bytes_of_equal_size_and_times_are_noticed(root: Path, exchanged: str) -> None:
    one, other = _write(root / ".v1" / "n.txt", b"one"), _write(root / ".v2" / "n.txt", b"two")
    assert any(_same_times(one, other) for _ in range(10_000)), "the clock is too fine for this test"
    current = root / "current"
    if exchanged == "a link":
        current.symlink_to(".v1")
    else:
        one.parent.rename(current)

    def token() -> str:
        return next(
            entry for entry in _source(root).list_entries() if entry.filename == "n.txt"
        ).version_token

    before = token()
    if exchanged == "a link":
        current.unlink()
        current.symlink_to(".v2")
    else:
        current.rename(root / ".v1")
        other.parent.rename(current)
    assert token() != before


def test_a_file_on_a_volume_that_hangs_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(root)
    entry = next(source.list_entries())
    over, opened = threading.Event(), os.fdopen

    def hangs(*args: Any, **kwargs: Any) -> Any:
        over.wait()
        return opened(*args, **kwargs)

    monkeypatch.setattr(os, "fdopen", hangs)
    monkeypatch.setattr(filesystem, "_PATIENCE_SECONDS", 0.05, raising=False)
    outcome: list[Exception] = []

    def attempt() -> None:
        try:
            source.read(entry)
        except (DocumentUnreadable, SourceUnavailable) as error:
            outcome.append(error)

    reader = threading.Thread(target=attempt, daemon=True)
    reader.start()
    reader.join(20)
    over.set()
    assert isinstance(outcome[0], SourceUnavailable)
    assert "top.txt" in str(outcome[0])
