"""The file of the embedded ledger."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers import sqlite
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.sqlite import FORMAT_VERSION, SqliteLedger
from rag_assets_tests.documents import corpus, vector_of

KEY = b"k" * 32
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "")
DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def filled(path: Path) -> None:
    ledger = SqliteLedger(path, "kb")
    ledger.put_documents("g1", corpus({str(number): "text" for number in range(300)}))
    ledger.put_vectors({KEY: vector_of("a")})
    ledger.close()


def set_aside(path: Path) -> list[Path]:
    return list(path.parent.glob("*.unreadable-*"))


def test_the_file_is_private(path: Path) -> None:
    filled(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_other_than_a_ledger_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, whatever it is " * 100)
    ledger = SqliteLedger(path, "kb")
    assert ledger.documents("g1") is None
    assert [one.read_bytes()[:7] for one in set_aside(path)] == [b"this is"]
    assert "is recreated" in caplog.text


def test_a_ledger_of_another_format_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION + 1}")
    connection.close()
    assert SqliteLedger(path, "kb").documents("g1") is None
    assert len(set_aside(path)) == 1
    assert f"format version {FORMAT_VERSION + 1}" in caplog.text
    assert SqliteLedger(path, "kb").vectors([KEY]) == {}
    assert len(set_aside(path)) == 1


def test_a_ledger_with_a_corrupt_page_is_recreated_when_it_is_read(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # the first page, with the schema, is intact
    path.write_bytes(data)
    ledger = SqliteLedger(path, "kb")
    with pytest.raises(LedgerUnavailable, match="was corrupt and has been recreated"):
        ledger.documents("g1")
    assert ledger.documents("g1") is None
    ledger.put_documents("g1", corpus({"a": "1"}))
    assert SqliteLedger(path, "kb").documents("g1") == corpus({"a": "1"})
    assert len(set_aside(path)) == 1


def test_a_corrupt_page_is_noticed_while_writing(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    ledger = SqliteLedger(path, "kb")
    with pytest.raises(LedgerUnavailable):
        ledger.put_documents("g1", corpus({"a": "1"}))
    ledger.put_documents("g1", corpus({"a": "1"}))
    assert ledger.documents("g1") == corpus({"a": "1"})


def test_a_file_without_permission_is_not_corrupt(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LedgerUnavailable, match="cannot be used: unable to open"):
        SqliteLedger(path, "kb")
    assert path.is_dir()


def test_tables_of_another_shape_are_recreated(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE parses; CREATE TABLE parses (uri TEXT);")
    connection.close()
    assert SqliteLedger(path, "kb").documents("g1") is None
    assert len(set_aside(path)) == 1


def test_a_full_disk_does_not_count_as_corruption(path: Path) -> None:
    filled(path)
    ledger = SqliteLedger(path, "kb")
    ledger._connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(LedgerUnavailable, match="full"):
        ledger.put_vectors({str(number).encode() * 8: vector_of("a") for number in range(1000)})
    assert set_aside(path) == []


def test_malformed_documents_count_as_unknown(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE documents SET location='{}' WHERE document_id LIKE '%7'")
    connection.close()
    assert SqliteLedger(path, "kb").documents("g1") is None


def test_a_lease_renewed_in_the_far_future_is_expired(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1_000_000.0)
    monkeypatch.setattr(sqlite, "time", SimpleNamespace(time=lambda: clock.now))
    ledger = SqliteLedger(path, "kb")
    ledger.acquire_lease("dead", "host", 1)
    clock.now -= 3600
    holder = ledger.lease_holder()
    assert holder is not None
    assert holder.age_seconds == 3600
    assert ledger.acquire_lease("next", "host", 2, holder) is None


@pytest.mark.parametrize("ttl_seconds", [30 * DAY, 3600.0])
def test_entries_unused_for_the_ttl_are_forgotten_and_used_ones_are_not(
    path: Path, monkeypatch: pytest.MonkeyPatch, ttl_seconds: float
) -> None:
    clock = SimpleNamespace(now=1_000_000.0)
    monkeypatch.setattr(sqlite, "time", SimpleNamespace(time=lambda: clock.now))
    ledger = SqliteLedger(path, "kb", ttl_seconds)
    other = b"o" * 32
    ledger.put_vectors({KEY: vector_of("a"), other: vector_of("b")})
    ledger.put_signatures({KEY: b"a", other: b"b"})
    ledger.put_parses([PARSE, ParseRecord("file:///other", "1", "raw2", "markdown", "1", "content", "")])
    clock.now += 0.6 * ttl_seconds
    assert ledger.vectors([KEY])
    assert ledger.signatures([KEY])
    assert ledger.parses([PARSE.source_uri])
    clock.now += 0.6 * ttl_seconds
    ledger.prune([])
    assert ledger.vectors([KEY, other]).keys() == {KEY}
    assert ledger.signatures([KEY, other]).keys() == {KEY}
    assert ledger.parses([PARSE.source_uri, "file:///other"]).keys() == {PARSE.source_uri}


def test_looking_up_a_fresh_entry_writes_nothing(path: Path) -> None:
    ledger = SqliteLedger(path, "kb")
    ledger.put_vectors({KEY: vector_of("a")})
    other = sqlite3.connect(path)
    before = other.execute("PRAGMA data_version").fetchone()
    ledger.vectors([KEY])
    assert other.execute("PRAGMA data_version").fetchone() == before
    other.close()


def test_an_error_other_than_corruption_leaves_the_ledger_in_place(path: Path) -> None:
    filled(path)
    ledger = SqliteLedger(path, "kb")
    twice = [*corpus({"a": "1"}), *corpus({"a": "2"})]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.put_documents("g2", twice)
    documents = ledger.documents("g1")
    assert documents is not None
    assert len(documents) == 300
    assert set_aside(path) == []


def test_a_pruned_generation_leaves_no_row_behind(path: Path) -> None:
    filled(path)
    SqliteLedger(path, "kb").prune([])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
    connection.close()


def test_readers_do_not_wait_for_writers(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
    connection.close()
