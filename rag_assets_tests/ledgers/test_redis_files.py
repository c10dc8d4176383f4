"""Erased entries leave the files of a Redis server, and a server that does not write them again is named."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from rag_assets.ledgers import redis_files
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.ledgers.registry import build_ledger
from rag_assets.settings import load_settings
from rag_assets_tests.canary import places_of
from rag_assets_tests.redis_servers import RedisServer, redis_server

pytestmark = pytest.mark.slow
TITLE = "a title that nobody else has"
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", TITLE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "redis"


@pytest.fixture
def server(folder: Path) -> Iterator[RedisServer]:
    with redis_server(folder, "appendonly yes", "save 3600 1", "rdbcompression no") as running:
        yield running


@pytest.fixture
def ledger(server: RedisServer) -> Iterator[Ledger]:
    opened = build_ledger(load_settings(redis_url=server.url), "kb")
    opened.put_parses([PARSE])
    yield opened
    opened.close()


def test_both_files_are_written_again_when_the_call_returns(
    ledger: Ledger, server: RedisServer, folder: Path
) -> None:
    server.client().save()
    assert {Path(place.partition(" (")[0]).suffix for place in places_of(TITLE, folder)} == {".rdb", ".aof"}
    ledger.erase(source_uris=[PARSE.source_uri])
    assert places_of(TITLE, folder) == []


def test_a_snapshot_in_progress_does_not_keep_them(
    ledger: Ledger, server: RedisServer, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was begun before, with the entries."""
    admin = server.client()
    ledger.put_parses(
        replace(PARSE, source_uri=f"file:///{number}", title=f"{TITLE} {number}") for number in range(20_000)
    )
    admin.config_set("rdb-key-save-delay", 50)
    admin.bgsave()
    threading.Timer(0.5, lambda: admin.config_set("rdb-key-save-delay", 0)).start()
    with caplog.at_level(logging.WARNING):
        ledger.erase(contents=["content"])
    assert places_of(TITLE, folder) == []
    assert "may be left" not in caplog.text


def test_a_server_without_an_append_only_file_gets_none(folder: Path) -> None:
    with redis_server(folder) as server:
        ledger = build_ledger(load_settings(redis_url=server.url), "kb")
        ledger.erase(source_uris=[PARSE.source_uri])
        ledger.close()
        assert [path.name for path in folder.rglob("*") if "aof" in path.name] == []


def test_a_server_that_does_not_write_them_again_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(folder, 'rename-command BGSAVE ""') as server:
        ledger = build_ledger(load_settings(redis_url=server.url), "kb")
        with caplog.at_level(logging.WARNING):
            ledger.erase(source_uris=[PARSE.source_uri])
        ledger.close()
    assert "run BGSAVE, and BGREWRITEAOF" in caplog.text


def test_a_server_that_takes_too_long_is_named(
    ledger: Ledger, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    admin = server.client()
    admin.config_set("rdb-key-save-delay", 2_000_000)
    with caplog.at_level(logging.WARNING), mock.patch.object(redis_files, "PATIENCE_SECONDS", 0.2):
        ledger.put_parses([replace(PARSE, source_uri="file:///b.md", content_hash="other")])
        ledger.erase(source_uris=[PARSE.source_uri])
    assert "no end of its writing" in caplog.text
