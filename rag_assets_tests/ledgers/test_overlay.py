"""A ledger over another one: it shows both, and leaves the lower one unchanged."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.overlay import OverlayLedger
from rag_assets.ledgers.read_only_sqlite import ReadOnlySqliteLedger
from rag_assets.ledgers.sqlite import FORMAT_VERSION, SqliteLedger
from rag_assets_tests.documents import corpus, vector_of

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "")


def files_in(folder: Path) -> dict[str, tuple[int, int, str]]:
    return {
        path.name: (
            path.stat().st_size,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.iterdir()
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A filled and closed ledger."""
    path = tmp_path / "state" / "ledger.sqlite"
    ledger = SqliteLedger(path, "kb")
    ledger.put_parses([PARSE])
    ledger.put_documents("g1", corpus({"a": "1"}))
    ledger.put_vectors({KEY: vector_of("a")})
    ledger.approve("0" * 16)
    ledger.close()
    return path


@pytest.fixture
def overlay(path: Path, tmp_path: Path) -> Iterator[OverlayLedger]:
    # All lower entries were last used long ago, and an ordinary ledger would record the use.
    with sqlite3.connect(path) as connection:
        for table in ("parses", "vectors"):
            connection.execute(f"UPDATE {table} SET used_at=0")
    connection.close()
    found = OverlayLedger(SqliteLedger(tmp_path / "above.sqlite", "kb"), ReadOnlySqliteLedger(path, "kb"))
    yield found
    found.close()


def test_reads_fall_through_until_the_upper_ledger_has_an_entry(overlay: OverlayLedger) -> None:
    assert overlay.parses([PARSE.source_uri]) == {PARSE.source_uri: PARSE}
    assert overlay.parse_of_bytes("raw", "markdown", "1") == PARSE
    assert overlay.documents("g1") == corpus({"a": "1"})
    assert np.array_equal(overlay.vectors([KEY])[KEY], vector_of("a"))
    newer = replace(PARSE, version_token="2", raw_hash="raw2")
    overlay.put_parses([newer])
    overlay.put_documents("g1", corpus({"b": "2"}))
    overlay.put_vectors({OTHER_KEY: vector_of("b")})
    overlay.approve("1" * 16)
    assert overlay.parses([PARSE.source_uri]) == {PARSE.source_uri: newer}
    assert overlay.parse_of_bytes("raw2", "markdown", "1") == newer
    assert overlay.documents("g1") == corpus({"b": "2"})
    assert overlay.vectors([KEY, OTHER_KEY]).keys() == {KEY, OTHER_KEY}
    assert overlay.approved_tokens() == {"0" * 16, "1" * 16}


def test_the_lower_ledger_and_its_folder_are_not_changed(overlay: OverlayLedger, path: Path) -> None:
    before = files_in(path.parent)
    overlay.parses([PARSE.source_uri])
    overlay.vectors([KEY])
    overlay.put_parses([replace(PARSE, version_token="2")])
    overlay.put_documents("g2", corpus({"b": "2"}))
    overlay.put_vectors({OTHER_KEY: vector_of("b")})
    overlay.approve("1" * 16)
    overlay.prune([])
    overlay.acquire_lease("run", "host", 1)
    overlay.release_lease("run")
    overlay.close()
    assert files_in(path.parent) == before
    assert list(before) == ["ledger.sqlite"]


def test_a_ledger_of_an_earlier_version_without_some_tables_is_not_corrupt(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE signatures")
    connection.execute("DROP TABLE spending")
    connection.close()
    ledger = ReadOnlySqliteLedger(path, "kb")
    assert ledger.signatures([KEY]) == {}
    assert ledger.spending() == {}
    assert ledger.vectors([KEY]).keys() == {KEY}
    ledger.close()


def test_writes_still_in_the_write_ahead_log_are_visible(path: Path) -> None:
    writer = SqliteLedger(path, "kb")
    writer.put_documents("g2", corpus({"b": "2"}))
    reader = ReadOnlySqliteLedger(path, "kb")
    assert reader.documents("g2") == corpus({"b": "2"})
    writer.put_documents("g3", corpus({"c": "3"}))
    assert reader.documents("g3") == corpus({"c": "3"})
    reader.close()
    writer.close()


def test_a_read_only_ledger_refuses_to_be_written(path: Path) -> None:
    for where in (path, path.with_name("absent.sqlite")):
        ledger = ReadOnlySqliteLedger(where, "kb")
        with pytest.raises(LedgerUnavailable, match="readonly"):
            ledger.put_documents("g1", [])
        ledger.close()
    assert not path.with_name("absent.sqlite").exists()


@pytest.mark.parametrize("what", ["absent", "no ledger", "another format", "empty"])
def test_a_file_to_be_set_aside_counts_as_an_empty_ledger(path: Path, what: str) -> None:
    if what == "absent":
        path.unlink()
    elif what == "another format":
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version={FORMAT_VERSION + 1}")
        connection.close()
    else:
        path.write_bytes(b"" if what == "empty" else b"this is not a database, whatever it is " * 100)
    before = files_in(path.parent)
    ledger = ReadOnlySqliteLedger(path, "kb")
    assert ledger.documents("g1") is None
    assert ledger.parses([PARSE.source_uri]) == {}
    ledger.close()
    assert files_in(path.parent) == before


def test_a_corrupt_page_is_reported_and_left_to_the_next_refresh(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # the first page, with the schema, is intact
    path.write_bytes(data)
    before = files_in(path.parent)
    with pytest.raises(LedgerUnavailable, match="the next refresh recreates it"):
        ReadOnlySqliteLedger(path, "kb").documents("g1")
    assert files_in(path.parent) == before
