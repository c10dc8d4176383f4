"""Check values of files with holes: of the content alone, wherever the holes are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rag_assets.disk.content_hash import content_crc32, content_sha256

BLOCK = 1 << 16


def _write(path: Path, parts: dict[int, bytes], size: int) -> Path:
    with path.open("wb") as file:
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


@pytest.fixture(params=[content_crc32, content_sha256])
def content_hash(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    return request.param


def test_holes_count_as_zeros(content_hash: Callable[[Path], str], tmp_path: Path) -> None:
    with_holes = _write(tmp_path / "one", {5 * BLOCK + 7: b"text"}, 9 * BLOCK + 1)
    written = tmp_path / "two"
    written.write_bytes(with_holes.read_bytes())
    assert content_hash(with_holes) == content_hash(written)


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        ({5 * BLOCK + 7: b"texu"}, 9 * BLOCK),
        ({5 * BLOCK + 7: b"etxt"}, 9 * BLOCK),
        ({4 * BLOCK + 7: b"text"}, 9 * BLOCK),
        ({}, 9 * BLOCK),
        ({5 * BLOCK + 7: b"text", 8 * BLOCK: b"\x01"}, 9 * BLOCK),
        ({5 * BLOCK + 7: b"text"}, 9 * BLOCK + 1),
        ({5 * BLOCK + 7: b"text"}, 8 * BLOCK),
    ],
)
def test_another_content_has_another_hash(
    content_hash: Callable[[Path], str], parts: dict[int, bytes], size: int, tmp_path: Path
) -> None:
    original = _write(tmp_path / "one", {5 * BLOCK + 7: b"text"}, 9 * BLOCK)
    assert content_hash(_write(tmp_path / "two", parts, size)) != content_hash(original)


def test_sealed_generations_keep_their_hashes(tmp_path: Path) -> None:
    file = _write(tmp_path / "one", {3: b"text", 5 * BLOCK + 7: b"more text"}, 9 * BLOCK + 1)
    assert content_sha256(file) == "363d786a0c7c9d95109c9ee6e7ec0b5860e134ba7e95fbef2d20a4f34176e951"
    assert content_crc32(file) == "crc32:d7cf986c"
