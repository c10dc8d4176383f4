"""Rows of the embedded ledger that were changed after they were written are worked out again."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.read_only_sqlite import ReadOnlySqliteLedger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets_tests.documents import corpus, vector_of

KEY, OTHER = b"k" * 32, b"o" * 32
SAID = Metadata.of({"year": 2024})
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "Title", metadata=SAID)
SECOND = ParseRecord("file:///b.md", "1", "raw", "markdown", "1", "content", "Title")
DOCUMENTS = corpus({"a": "1", "b": "2"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def filled(path: Path) -> None:
    ledger = SqliteLedger(path, "kb")
    ledger.put_parses([PARSE, SECOND])
    ledger.put_documents("g1", DOCUMENTS)
    ledger.put_vectors({KEY: vector_of("a"), OTHER: vector_of("b")})
    ledger.put_signatures({KEY: b"a" * 512, OTHER: b"b" * 512})
    ledger.close()


def change(path: Path, sql: str, *parameters: Any) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(sql, parameters).rowcount >= 1
    connection.close()


Opener = Callable[[Path], SqliteLedger]
OPENERS: dict[str, Opener] = {
    "writing": lambda path: SqliteLedger(path, "kb"),
    "reading": lambda path: ReadOnlySqliteLedger(path, "kb"),
}


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize(
    "assignment",
    [
        "content_hash='another'",
        "raw_hash='another'",
        "version_token='2'",
        "parser_version='2'",
        "content_hash=NULL, quarantine_reason='corrupt'",
        "title='Another'",
        "title=x'00'",
        "title=CAST(x'ff' AS TEXT)",
        "metadata='[[{}, []], [{}, []]]'",
        "metadata=NULL",
        "metadata=x'00'",
        "metadata=7",
    ],
)
def test_a_changed_parse_is_forgotten(path: Path, assignment: str, opener: Opener) -> None:
    filled(path)
    change(path, f"UPDATE parses SET {assignment} WHERE source_uri=?", PARSE.source_uri)
    ledger = opener(path)
    assert ledger.parses([PARSE.source_uri, SECOND.source_uri]) == {SECOND.source_uri: SECOND}
    # Another document with the same bytes still vouches for them.
    assert ledger.parse_of_bytes("raw", "markdown", "1") == SECOND
    ledger.close()


def test_a_parse_moved_to_another_document_is_forgotten(path: Path) -> None:
    filled(path)
    change(path, "UPDATE parses SET source_uri='file:///c.md' WHERE source_uri=?", PARSE.source_uri)
    assert SqliteLedger(path, "kb").parses(["file:///c.md"]) == {}


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize(
    "damaged",
    [b"", b"abc", vector_of("a", 4).tobytes(), vector_of("b").tobytes(), "text", 7],
    ids=["empty", "three bytes", "half as long", "another vector", "text", "number"],
)
def test_a_changed_vector_is_forgotten_until_it_is_written_again(
    path: Path, damaged: object, opener: Opener
) -> None:
    filled(path)
    change(path, "UPDATE vectors SET vector=? WHERE key=?", damaged, KEY)
    ledger = opener(path)
    assert ledger.vectors([KEY, OTHER]).keys() == {OTHER}
    ledger.close()
    again = SqliteLedger(path, "kb")
    again.put_vectors({KEY: vector_of("a")})
    assert np.array_equal(again.vectors([KEY])[KEY], vector_of("a"))


def test_two_exchanged_vectors_are_forgotten(path: Path) -> None:
    filled(path)
    change(path, "UPDATE vectors SET key=? WHERE key=?", b"x" * 32, KEY)
    change(path, "UPDATE vectors SET key=? WHERE key=?", KEY, OTHER)
    change(path, "UPDATE vectors SET key=? WHERE key=?", OTHER, b"x" * 32)
    assert SqliteLedger(path, "kb").vectors([KEY, OTHER]) == {}


def test_a_changed_signature_is_forgotten(path: Path) -> None:
    filled(path)
    change(path, "UPDATE signatures SET signature=? WHERE key=?", b"b" * 512, KEY)
    assert SqliteLedger(path, "kb").signatures([KEY, OTHER]) == {OTHER: b"b" * 512}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE documents SET content_hash='another' WHERE document_id='filesystem:a'",
        "UPDATE documents SET location=replace(location, 'docs', 'dogs')",
        "DELETE FROM documents WHERE document_id='filesystem:a'",
    ],
)
def test_changed_documents_of_a_generation_are_unknown(path: Path, sql: str) -> None:
    filled(path)
    change(path, sql)
    ledger = SqliteLedger(path, "kb")
    assert ledger.documents("g1") is None
    ledger.put_documents("g1", DOCUMENTS)
    assert ledger.documents("g1") == DOCUMENTS


def test_changed_rows_are_named_once_with_their_number(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    change(path, "UPDATE vectors SET vector=x'00'")
    ledger = SqliteLedger(path, "kb")
    ledger.vectors([KEY])
    ledger.vectors([OTHER])
    ledger.close()
    lines = [record.getMessage() for record in caplog.records if "checksum" in record.getMessage()]
    assert len(lines) == 2
    assert "1 remembered vector " in lines[0]
    assert "2 remembered vectors " in lines[1]
    assert all(str(path) in line for line in lines)


# A file of an earlier version has no checksums.


def as_of_an_earlier_version(path: Path) -> None:
    filled(path)
    connection = sqlite3.connect(path)
    for table in ("parses", "vectors", "signatures", "recorded_generations"):
        connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
    connection.execute("ALTER TABLE parses DROP COLUMN metadata")
    connection.close()


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_ledger_of_an_earlier_version_is_taken_on_trust(path: Path, opener: Opener) -> None:
    as_of_an_earlier_version(path)
    change(path, "DELETE FROM parses WHERE source_uri=?", PARSE.source_uri)
    change(path, "UPDATE vectors SET vector=x'000000' WHERE key=?", OTHER)
    ledger = opener(path)
    assert ledger.parses([SECOND.source_uri]) == {SECOND.source_uri: SECOND}
    assert ledger.parse_of_bytes("raw", "markdown", "1") == SECOND
    assert ledger.documents("g1") == DOCUMENTS
    assert ledger.vectors([KEY, OTHER]).keys() == {KEY}, "a length that fits no vector is never believed"
    assert ledger.signatures([KEY]) == {KEY: b"a" * 512}
    ledger.close()
    assert not list(path.parent.glob("*.unreadable-*"))


def test_a_row_of_an_earlier_version_gets_a_checksum_when_it_is_used(path: Path) -> None:
    as_of_an_earlier_version(path)
    ledger = SqliteLedger(path, "kb")
    ledger.parses([PARSE.source_uri])
    ledger.vectors([KEY])
    ledger.signatures([KEY])
    ledger.close()
    change(path, "UPDATE parses SET content_hash='another'")
    change(path, "UPDATE vectors SET vector=?", vector_of("c").tobytes())
    change(path, "UPDATE signatures SET signature=?", b"c" * 512)
    ledger = SqliteLedger(path, "kb")
    assert ledger.parses([PARSE.source_uri]) == {}
    assert ledger.vectors([KEY]) == {}
    assert ledger.signatures([KEY]) == {}


# A file of an earlier version has no metadata.


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_parse_of_an_earlier_version_has_no_metadata(path: Path, opener: Opener) -> None:
    ledger = SqliteLedger(path, "kb")
    ledger.put_parses([SECOND])
    ledger.close()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE parses DROP COLUMN metadata")
    connection.close()
    ledger = opener(path)
    assert ledger.parses([SECOND.source_uri]) == {SECOND.source_uri: SECOND}
    assert ledger.parse_of_bytes("raw", "markdown", "1") == SECOND
    ledger.close()


# A path that holds no ledger


def test_a_folder_in_the_place_of_the_ledger_is_named_with_the_remedy(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(
        LedgerUnavailable, match=r"ledger\.sqlite cannot be used.* is a folder.*[Mm]ove it away"
    ):
        SqliteLedger(path, "kb")
    assert path.is_dir()


def test_a_file_in_the_place_of_the_folder_of_the_ledger_is_named(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(LedgerUnavailable, match=r"ledger\.sqlite cannot be used.*is not a folder"):
        SqliteLedger(path, "kb")
