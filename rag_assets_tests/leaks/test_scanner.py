"""The scanner finds a planted canary in each form and in each place that the other tests search."""

import base64
import gzip
import html
import io
import json
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_assets_tests.leaks.canaries import canary
from rag_assets_tests.leaks.command_lines import watched_command_lines
from rag_assets_tests.leaks.scanner import (
    canaries_in,
    canaries_in_folder,
    rows_of_postgres,
    values_of_redis,
)
from rag_assets_tests.redis_servers import redis_server
from rag_assets_tests.tracking.conftest import new_postgres_url

SECRET = canary(17)

FORMS: dict[str, Callable[[str], str | bytes]] = {
    "plain": str,
    "lower case": str.lower,
    "percent-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "percent-encoded twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe="")),
    "JSON": lambda text: json.dumps({"a": text}),
    "JSON within JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()),
    **{
        f"Basic auth, {user}": lambda text, user=user: base64.b64encode(f"{user}:{text}".encode())
        for user in ("a", "ab", "abc", "somebody@example.com")
    },
    "hexadecimal": lambda text: text.encode().hex(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "big-endian UTF-16": lambda text: text.encode("utf-16-be"),
    "in lines": lambda text: "\n".join(textwrap.wrap(text, 9)),
    "in lines of a table": lambda text: "│\n│ ".join(textwrap.wrap(text, 9)),
    "in lines, as repr shows them": lambda text: repr("\n".join(textwrap.wrap(text, 9))),
    "backwards": lambda text: text[::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_canary_is_found_in_each_form(form: str) -> None:
    text = FORMS[form](SECRET)
    data = text if isinstance(text, bytes) else text.encode()
    assert canaries_in(b"before " + data + b" behind") in ({"017"}, {"?"})
    assert canaries_in(b"before " + FORMS["plain"]("another text").encode() + b" behind") == set()  # type: ignore[union-attr]


def _parquet(path: Path) -> None:
    pq.write_table(pa.table({"a": [{"inner": [SECRET]}]}), path, compression="zstd")


def _parquet_metadata(path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"note": SECRET})
    pq.write_table(table, path)


def _sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE a (b)")
        connection.execute("INSERT INTO a VALUES (?)", (zlib.compress(SECRET.encode() * 9),))
        connection.commit()


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", SECRET * 9)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a")
        info.size = len(SECRET.encode())
        archive.addfile(info, io.BytesIO(SECRET.encode()))


FILES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text(SECRET),
    "compressed": lambda path: path.write_bytes(zlib.compress(SECRET.encode())),
    "gzip": lambda path: path.write_bytes(gzip.compress(SECRET.encode())),
    "a row of Parquet": _parquet,
    "metadata of Parquet": _parquet_metadata,
    "a compressed value of SQLite": _sqlite,
    "zip": _zip,
    "tar": _tar,
    "a name": lambda path: path.with_name(urllib.parse.quote(SECRET, safe="")).touch(),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_canary_is_found_in_each_kind_of_file(kind: str, tmp_path: Path) -> None:
    FILES[kind](tmp_path / "file")
    ((_, numbers),) = list(canaries_in_folder(tmp_path).items())[:1]
    assert numbers == {"017"}


@pytest.mark.slow
def test_a_canary_is_found_in_postgresql() -> None:
    import psycopg

    url = new_postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE planted (a jsonb, b bytea)")
        connection.execute("INSERT INTO planted VALUES (%s, %s)", ("{}", SECRET.encode()))
        assert "017" in canaries_in(rows_of_postgres(url))
        connection.execute("UPDATE planted SET a = %s, b = NULL", (json.dumps({"x": SECRET}),))
        assert "017" in canaries_in(rows_of_postgres(url))
        connection.execute("DROP TABLE planted")


def test_a_canary_is_found_in_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        client = server.client()
        for plant in (
            lambda: client.set("a", SECRET),
            lambda: client.set("a", zlib.compress(SECRET.encode() * 9)),
            lambda: client.hset("a", "b", SECRET),
            lambda: client.sadd("a", SECRET),
            lambda: client.rpush("a", SECRET),
            lambda: client.set(SECRET, "b"),
        ):
            client.flushall()
            plant()
            assert "017" in canaries_in(values_of_redis(client))


@pytest.mark.slow
def test_a_canary_is_found_in_a_command_line() -> None:
    with watched_command_lines() as found:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(2)", SECRET], check=True)
    assert list(found.values()) == [{"017"}]
