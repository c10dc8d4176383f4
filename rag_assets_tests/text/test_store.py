import os
import threading
import time
from pathlib import Path

import pytest

from rag_assets.text.hashing import text_sha256
from rag_assets.text.store import TextStore


@pytest.fixture
def store(tmp_path: Path) -> TextStore:
    return TextStore(tmp_path / "state" / "texts")


def _file(store: TextStore, text_hash: str) -> Path:
    return store.root / text_hash[:2] / text_hash


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def _files(store: TextStore) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("text", ["", "short", "Zeilen\nüber 旅費\n" * 10_000])
def test_a_stored_text_comes_back_under_its_hash(store: TextStore, text: str) -> None:
    text_hash = store.put(text)
    assert text_hash == text_sha256(text)
    assert store.get(text_hash) == text
    assert store.has(text_hash)
    assert store.existing() == {text_hash}


def test_a_text_that_was_never_stored_is_absent(store: TextStore) -> None:
    assert store.get(text_sha256("x")) is None
    assert not store.has(text_sha256("x"))
    assert store.existing() == set()
    assert store.prune(set()) == 0


@pytest.mark.parametrize("name", ["", "ab", "../../etc/passwd", "g" * 64, "A" * 64, "a" * 64 + "\n"])
def test_an_invalid_hash_is_absent_and_touches_no_file(store: TextStore, name: str) -> None:
    store.put("x")
    assert store.get(name) is None
    assert not store.has(name)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "swapped"])
def test_a_damaged_file_counts_as_absent_until_the_text_is_put_again(store: TextStore, damage: str) -> None:
    text = "a text of some length, " * 50
    text_hash = store.put(text)
    path = _file(store, text_hash)
    data = path.read_bytes()
    other = _file(store, store.put("another text")).read_bytes()
    damaged = {
        "truncated": data[:-5],
        "emptied": b"",
        "flipped": data[:9] + b"\xff" + data[10:],
        "swapped": other,
    }
    path.write_bytes(damaged[damage])
    assert store.get(text_hash) is None
    assert not store.has(text_hash), "or its document would never be read again"
    store.put(text)
    assert store.get(text_hash) == text


def test_folders_and_files_are_private_to_the_user(store: TextStore) -> None:
    old = os.umask(0)
    try:
        path = _file(store, store.put("secret"))
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, store.root, store.root.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_nothing_behind(store: TextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.put("x")
    assert _files(store) == []


def test_texts_are_compressed(store: TextStore) -> None:
    text = "the same line again\n" * 5_000
    assert _file(store, store.put(text)).stat().st_size < len(text) / 10


@pytest.mark.parametrize("as_function", [False, True])
def test_prune_removes_old_texts_that_are_not_kept(store: TextStore, as_function: bool) -> None:
    kept, dropped = store.put("kept"), store.put("dropped")
    for text_hash in (kept, dropped):
        _age(_file(store, text_hash), 3700)
    keep = {kept}
    assert store.prune(keep.__contains__ if as_function else keep) == 1
    assert store.existing() == {kept}
    assert store.get(kept) == "kept"
    assert _files(store) == [_file(store, kept)]


def test_prune_spares_texts_of_the_last_hour(store: TextStore) -> None:
    fresh = store.put("fresh")
    almost_old = store.put("almost old")
    _age(_file(store, almost_old), 3500)
    assert store.prune(set()) == 0
    assert store.existing() == {fresh, almost_old}


def test_putting_a_text_again_makes_it_fresh(store: TextStore) -> None:
    text_hash = store.put("again")
    _age(_file(store, text_hash), 9999)
    store.put("again")
    assert store.prune(set()) == 0


def test_prune_spares_a_text_stored_again_meanwhile(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_hash = store.put("raced")
    _age(_file(store, text_hash), 9999)
    rename = Path.rename

    def put_just_before(self: Path, target: Path) -> Path:
        store.put("raced")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", put_just_before)
    assert store.prune(set()) == 0
    assert store.get(text_hash) == "raced"
    assert len(_files(store)) == 1


def test_prune_removes_old_leftovers_of_killed_writers_but_no_other_files(store: TextStore) -> None:
    folder = _file(store, store.put("x")).parent
    old_leftover, new_leftover, stranger = folder / ".tmp-old", folder / ".tmp-new", folder / "README"
    for path in (old_leftover, new_leftover, stranger):
        path.write_bytes(b"half")
    _age(old_leftover, 9999)
    _age(stranger, 9999)
    assert store.prune(set()) == 0
    assert not old_leftover.exists()
    assert new_leftover.exists()
    assert stranger.exists()
    assert len(store.existing()) == 1


def test_concurrent_writers_and_readers_never_see_half_a_text(store: TextStore) -> None:
    texts = [f"text {i} " * 2_000 for i in range(8)]
    hashes = [store.put(text) for text in texts]
    wrong: list[str] = []

    def work(seed: int) -> None:
        for i in range(60):
            k = (i + seed) % len(texts)
            store.put(texts[k])
            if store.get(hashes[k - 1]) != texts[k - 1]:
                wrong.append(hashes[k - 1])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(_files(store)) == len(texts)
