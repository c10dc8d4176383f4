"""The keys of the Redis ledger, all below `rag:<knowledge base id>:`, and the form of their values.

A value begins with the version of this form and a checksum over its key and content. Damaged values, those of a newer
version and those of other programs are not believed. docs/redis.md lists the keys.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rag_assets.backports import batched
from rag_assets.ledgers.rows import checksum_of_bytes

PREFIX = "rag"
_FORM = b"1"
_HEAD_BYTES = len(_FORM) + 4
_MOST_UNPACKED_BYTES = 64_000_000
"""Of a part of a list of documents. One in use has less than a megabyte."""
DOCUMENTS_IN_A_PART = 1000


class Keys:
    """The names of all keys of one knowledge base."""

    def __init__(self, knowledge_base_id: str) -> None:
        self._prefix = f"{PREFIX}:{knowledge_base_id}:"
        self.generations = f"{self._prefix}generations"
        self.refusals = f"{self._prefix}refusals"
        self.approvals = f"{self._prefix}approvals"
        self.spending = f"{self._prefix}spending"
        self.lease = f"{self._prefix}lease"
        self.vectors = f"{self._prefix}vector:"
        self.signatures = f"{self._prefix}signature:"

    def parse(self, source_uri: str) -> str:
        return f"{self._prefix}parse:{parse_id(source_uri)}"

    def parse_by_id(self, parse_id: str) -> str:
        return f"{self._prefix}parse:{parse_id}"

    def of_bytes(self, raw_hash: str) -> str:
        """The set of the parses of the same bytes, by `parse_id`."""
        return f"{self._prefix}bytes:{_short_hash(raw_hash)}"

    def vector(self, key: bytes) -> str:
        return f"{self.vectors}{key.hex()}"

    def signature(self, key: bytes) -> str:
        return f"{self.signatures}{key.hex()}"

    def documents(self, generation: str, version: str, part: int | str) -> str:
        return f"{self._prefix}documents:{generation}:{version}:{part}"


def parse_id(source_uri: str) -> str:
    return _short_hash(source_uri)


def _short_hash(text: str) -> str:
    # Half of a hash: names take memory too. The value has the whole text.
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def key_in(name: str, prefix: str) -> bytes | None:
    """Return the key of a vector or a signature, or None if the name is none of ours."""
    try:
        return bytes.fromhex(name.removeprefix(prefix))
    except ValueError:
        return None


def sealed(name: str, content: bytes) -> bytes:
    """Return a value with its checksum.

    Args:
        name: of the key in Redis, or of the field.
    """
    return (
        _FORM + checksum_of_bytes(name.encode(errors="surrogatepass"), content).to_bytes(4, "big") + content
    )


def unsealed(name: str, value: object) -> bytes | None:
    """Return the content of a value, or None if it is none of ours or was changed."""
    if not isinstance(value, bytes) or value[:1] != _FORM or len(value) < _HEAD_BYTES:
        return None
    content = value[_HEAD_BYTES:]
    return content if value == sealed(name, content) else None


def json_in(name: str, value: object) -> Any:
    """Return the JSON content of a value, or None."""
    content = unsealed(name, value)
    try:
        return None if content is None else json.loads(content)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class DocumentList:
    """Where the documents of a generation are, and their checksum.

    Attributes:
        version: part of the names of its keys: a rewritten list never mixes with the one before.
    """

    version: str
    num_parts: int
    checksum: int

    def seal(self, generation: str) -> bytes:
        return sealed(generation, json.dumps([self.version, self.num_parts, self.checksum]).encode())

    @staticmethod
    def of(generation: str, value: object) -> "DocumentList | None":
        match json_in(generation, value):
            case [str() as version, int() as num_parts, int() as checksum] if 0 <= num_parts < 1_000_000:
                return DocumentList(version, num_parts, checksum)
            case _:
                return None

    def keys(self, keys: Keys, generation: str) -> list[str]:
        return [keys.documents(generation, self.version, part) for part in range(self.num_parts)]


def packed_parts(rows: Iterable[tuple[str, str | None, str]]) -> list[bytes]:
    """Return the rows of documents in parts, compressed: a thousand of them take a tenth of their size."""
    return [zlib.compress(json.dumps(part).encode(), level=1) for part in batched(rows, DOCUMENTS_IN_A_PART)]


def unpacked(part: bytes | None) -> list[tuple[Any, ...]] | None:
    """Return the rows of a part, or None if it is damaged."""
    if part is None:
        return None
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(part, _MOST_UNPACKED_BYTES)
        return [tuple(row) for row in json.loads(text)] if unpacking.eof else None
    except (zlib.error, ValueError, TypeError):
        return None
