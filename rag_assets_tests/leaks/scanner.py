"""A scanner that finds canary secrets in bytes, also encoded, escaped, compressed, divided into lines, or in a database.

All canaries share one mark of letters and digits, which no escaping changes. The number behind it names the variable.
"""

import base64
import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from rag_assets_tests.canary import bytes_of, forms_of

MARK = "Zq7Canary"
_NUMBER = rb"(\d{3})"
_PLAIN = MARK.lower().encode()
# As `repr` writes bytes, boxes of tables and ends of lines stand within a text that was divided.
_BETWEEN_LINES = re.compile(rb"\\n|\\r|\xe2\x94[\x80-\xbf]|[\s|\"'`\\]+")


def _in_base64(text: bytes) -> set[bytes]:
    """Return what base64 makes of a text, whatever stands before and behind it."""
    found: set[bytes] = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text)
        # The first characters depend on the bytes before, the last ones on the bytes behind.
        start, end = -(-before * 8 // 6), (before + len(text)) * 8 // 6
        found.add(coded[start:end])
    return found


_BASE64 = _in_base64(MARK.encode())
_OTHERS = [MARK.encode("utf-16-le").lower(), MARK.encode("utf-16-be").lower(), MARK.encode().hex().encode()]
_REVERSED = _PLAIN[::-1]


def canaries_in(data: bytes) -> set[str]:
    """Return the numbers of the canaries in these bytes, `?` for one whose number is coded."""
    found = _in_text(data)
    if not found:
        found |= _in_text(_BETWEEN_LINES.sub(b"", data))
    return found


def _in_text(data: bytes) -> set[str]:
    lower = data.lower()
    found = {match[1].decode() for match in re.finditer(re.escape(_PLAIN) + _NUMBER, lower)}
    if not found and (_PLAIN in lower or _REVERSED in lower or any(one in lower for one in _OTHERS)):
        found.add("?")
    for coded in _BASE64:
        at = data.find(coded)
        if at >= 0:
            found |= _decoded_numbers(data, at) or {"?"}
    return found


def _decoded_numbers(data: bytes, at: int) -> set[str]:
    run = re.match(rb"[A-Za-z0-9+/_-]+", data[at : at + 400])
    text = run[0].translate(bytes.maketrans(b"-_", b"+/")) if run else b""
    found: set[str] = set()
    for before in (b"", b"A", b"AA", b"AAA"):
        piece = before + text
        with suppress(ValueError):
            decoded = base64.b64decode(piece[: len(piece) // 4 * 4]).lower()
            found |= {match[1].decode() for match in re.finditer(rb"canary" + _NUMBER, decoded)}
    return found


def canaries_in_folder(*folders: Path) -> dict[str, set[str]]:
    """Return file, with the form of the find -> numbers of canaries, for every file and every name of one."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if numbers := canaries_in(str(path.relative_to(folder)).encode()):
                found[f"{path} (its name)"] = numbers
            if path.is_file() and not path.is_symlink():
                for form, data in _all_forms_of(path):
                    if numbers := canaries_in(data):
                        found[f"{path} ({form})"] = numbers
    return found


def _all_forms_of(path: Path) -> Iterator[tuple[str, bytes]]:
    yield from forms_of(path)
    data = bytes_of(path)
    if data[:2] == b"\x1f\x8b":
        with suppress(OSError, zlib.error, EOFError):
            yield "gzip", gzip.decompress(data)
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(BytesIO(data)) as archive:
            yield "zip", b"\n".join(archive.read(name) for name in archive.namelist())
    with suppress(tarfile.TarError), tarfile.open(fileobj=BytesIO(data)) as archive:
        files = filter(None, (archive.extractfile(one) for one in archive if one.isfile()))
        yield "tar", b"\n".join(one.read() for one in files)


def rows_of_postgres(url: str) -> bytes:
    """Return every row of every table of a PostgreSQL server, of all its databases, and the texts of its statements."""
    import psycopg
    from psycopg import sql

    lines: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
        databases = [str(name) for (name,) in rows]
        lines += [
            str(row) for row in connection.execute("SELECT query, application_name FROM pg_stat_activity")
        ]
    for database in databases:
        with psycopg.connect(url, dbname=database, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            for names in tables:
                query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*names))
                for row in connection.execute(query):
                    lines.append(f"{database} {names} {row}")
                    lines += [
                        bytes(value).decode(errors="replace") for value in row if isinstance(value, bytes)
                    ]
    return "\n".join(lines).encode()


def values_of_redis(client: Any) -> bytes:
    """Return every key of a Redis server with its value, also decompressed."""
    parts: list[bytes] = []
    for key in client.scan_iter():
        kind = client.type(key)
        reading = {b"string": client.get, b"hash": client.hgetall, b"set": client.smembers}
        reading |= {
            b"list": lambda one: client.lrange(one, 0, -1),
            b"zset": lambda one: client.zrange(one, 0, -1),
        }
        value = reading[kind](key)
        parts += [key, *_flat(value)]
    parts += [zlib.decompress(part) for part in list(parts) if part[:1] == b"\x78" and _is_zlib(part)]
    return b"\n".join(parts)


def _flat(value: Any) -> Iterable[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return list(value)


def _is_zlib(data: bytes) -> bool:
    with suppress(zlib.error):
        zlib.decompress(data)
        return True
    return False
