"""The table of keys in docs/redis.md, with types, lifetimes and memory from a real server.

    python -m rag_assets_tests.ledgers.redis_page    # writes the table

A test compares keys, types and lifetimes with the page. The memory differs between versions of Redis.
"""

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rag_assets.ledgers.base import Ledger, ParseRecord, Spending
from rag_assets.ledgers.registry import build_ledger
from rag_assets.records import Refusal
from rag_assets.settings import load_settings
from rag_assets_tests.documents import corpus, hashed, vector_of
from rag_assets_tests.redis_servers import redis_server

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"
HEAD = "| key | type | TTL | holds | bytes a document |\n|---|---|---|---|---|\n"
_ID = "kb"
_DOCUMENTS, _CHUNKS = 2000, 5
_HOLDS = {
    "parse": ("parse:HASH", "the last parse of one document"),
    "bytes": ("bytes:HASH", "the documents with the same bytes"),
    "vector": ("vector:KEY", "the vector of one text"),
    "signature": ("signature:KEY", "the signature of one content, for near-duplicates"),
    "documents": ("documents:GENERATION:VERSION:PART", "a thousand documents of a generation, compressed"),
    "generations": ("generations", "where the documents of each generation are"),
    "refusals": ("refusals", "refused deletions, losses and rebuilds"),
    "approvals": ("approvals", "approved tokens"),
    "spending": ("spending", "tokens and cost of each run"),
    "lease": ("lease", "the running refresh"),
}


def fill(ledger: Ledger) -> None:
    """Write a knowledge base of two generations."""
    names = [f"handbook/chapter-{number // 50}/page-{number:05}.md" for number in range(_DOCUMENTS)]
    ledger.put_parses(
        ParseRecord(
            f"file:///srv/documents/{name}",
            f"1790000000000000000-{number}",
            hashed(name),
            "markdown",
            "1",
            hashed(f"text of {name}"),
            f"The title of page {number}",
        )
        for number, name in enumerate(names)
    )
    keys = [bytes.fromhex(hashed(f"{name} {chunk}")) for name in names for chunk in range(_CHUNKS)]
    ledger.put_vectors({key: vector_of(key.hex(), 256) for key in keys})
    ledger.put_signatures({key: key * 16 for key in keys[::_CHUNKS]})
    for generation in ("20261130T100000000000-1a2b3c4d", "20261130T160000000000-1a2b3c4d"):
        ledger.put_documents(generation, corpus({name: name for name in names}))
    ledger.put_refusals(
        [Refusal("0" * 16, "deletion", "the deletion of 12 of 20 documents", ("one",), ("one:a",))]
    )
    ledger.approve("0" * 16)
    ledger.add_spending("run", Spending("documents", "model", 10, 0.5))
    ledger.acquire_lease("run", "host", 1)


def rows(client: Any) -> list[tuple[str, str, str, str, str]]:
    """Return the table of the keys of a server: key, type, TTL, content, bytes of a document."""
    sizes: Counter[str] = Counter()
    kinds: dict[str, tuple[str, str]] = {}
    for key in client.keys("*"):
        kind = key.decode().split(":")[2]
        sizes[kind] += client.memory_usage(key, samples=0)
        kinds[kind] = (client.type(key).decode(), "none" if client.ttl(key) == -1 else "`REDIS_HASH_TTL`")
    return [
        (
            f"`{name}`",
            *kinds[kind],
            holds,
            f"{sizes[kind] / _DOCUMENTS:,.0f}" if sizes[kind] >= _DOCUMENTS else f"{sizes[kind]:,} in all",
        )
        for kind, (name, holds) in _HOLDS.items()
    ]


def table(found: list[tuple[str, str, str, str, str]]) -> str:
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in found)


def documented() -> list[tuple[str, ...]]:
    """Return the rows of the page."""
    page = PAGE.read_text(encoding="utf-8").partition(HEAD)[2]
    lines = re.findall(r"^\| (.*) \|$", page.partition("\n\n")[0], re.M)
    return [tuple(line.split(" | ")) for line in lines]


def measured(folder: Path) -> list[tuple[str, str, str, str, str]]:
    with redis_server(folder) as server:
        ledger = build_ledger(load_settings(redis_url=server.url), _ID)
        fill(ledger)
        ledger.close()
        return rows(server.client())


def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = table(measured(Path(folder)))
    page = PAGE.read_text(encoding="utf-8")
    known = HEAD + page.partition(HEAD)[2].partition("\n\n")[0] + "\n" if HEAD in page else "KEYS\n"
    PAGE.write_text(page.replace(known, found), encoding="utf-8")


if __name__ == "__main__":
    _main()
