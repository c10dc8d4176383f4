"""The shared book: one process at a time, and a full disk does not ring every minute."""

import time
from pathlib import Path

import pytest

from rag_assets.alerts import book_file
from rag_assets.alerts.book import Book
from rag_assets.alerts.book_file import BookFile, BusyError


def test_the_book_is_kept_between_processes(tmp_path: Path) -> None:
    with BookFile(tmp_path / "alerts").locked(time.monotonic()) as book:
        book.take_run("one")
        book.queue("title", {"text": "text"}, 1.0)
    kept = BookFile(tmp_path / "alerts").read()
    assert (kept.runs, kept.outbox[0].payload) == (["one"], {"text": "text"})


def test_a_second_process_waits_or_gives_up(tmp_path: Path) -> None:
    second = BookFile(tmp_path).locked(time.monotonic())
    with BookFile(tmp_path).locked(time.monotonic()), pytest.raises(BusyError):
        second.__enter__()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 99}', "\x00", '{"version": 1}'])
def test_a_damaged_book_begins_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "alerts.json").write_text(content)
    assert BookFile(tmp_path).read() == Book()


def test_a_disk_that_takes_nothing_does_not_make_a_message_ring_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(book_file, "write_json", full)
        with BookFile(tmp_path).locked(time.monotonic()) as book:
            book.take_run("one")
        assert BookFile(tmp_path).read().runs == ["one"]
    with BookFile(tmp_path).locked(time.monotonic()) as book:
        book.take_run("two")
    monkeypatch.setattr(book_file, "_unwritten", {})
    assert BookFile(tmp_path).read().runs == ["one", "two"]
