"""A scanner that finds a sentence in every byte of a folder, also where it is compressed.

Each file is searched as it is, in UTF-8 and UTF-16. Compressed texts are unpacked, Parquet is read row by row, databases table
by table.
"""

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq

from rag_assets.disk.sparse_copy import next_data

CANARY = "The canary sang Zwölfundneunzig at dawn"


def places_of(canary: str, *folders: Path) -> list[str]:
    """Return the files that hold the sentence, each with the form of the find."""
    return places_of_each([canary], *folders)[canary]


def places_of_each(canaries: Sequence[str], *folders: Path) -> dict[str, list[str]]:
    """Return sentence -> the files that hold it, each with the form of the find. Every file is read once."""
    found: dict[str, list[str]] = {canary: [] for canary in canaries}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                for form, data in forms_of(path):
                    for canary in canaries:
                        if holds(canary, data):
                            found[canary].append(f"{path} ({form})")
    return found


def holds(canary: str, data: bytes) -> bool:
    forms = [canary.encode(coding) for coding in ("utf-8", "utf-16-le", "utf-16-be")]
    # In JSON, other letters than those of ASCII may be escaped.
    forms.append(json.dumps(canary)[1:-1].encode())
    forms.append(quote(canary).encode())
    return any(form in data for form in forms)


def forms_of(path: Path) -> Iterator[tuple[str, bytes]]:
    data = bytes_of(path)
    yield "as it is", data
    with suppress(zlib.error):
        yield "unpacked", zlib.decompress(data)
    if data[:4] == b"PAR1":
        yield "rows", "\n".join(map(_as_text, pq.read_table(path).to_pylist())).encode()
        yield "metadata", repr(pq.read_schema(path)).encode()
    if data[:15] == b"SQLite format 3":
        yield "tables", "\n".join(_rows_of(path)).encode()


def bytes_of(path: Path) -> bytes:
    """Return all bytes of a file. Each hole is one zero: the files of the engine are mostly holes."""
    parts: list[bytes] = []
    with path.open("rb") as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        while at < size:
            start, end = next_data(file.fileno(), at, size)
            parts.append(os.pread(file.fileno(), end - start, start))
            at = end
    return b"\0".join(parts)


def _rows_of(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield _as_text(row)
                for value in row:
                    if isinstance(value, bytes):
                        with suppress(zlib.error):
                            yield zlib.decompress(value).decode(errors="replace")


def _as_text(row: Any) -> str:
    return json.dumps(
        row,
        ensure_ascii=False,
        default=lambda one: one.decode(errors="replace") if isinstance(one, bytes) else str(one),
    )
