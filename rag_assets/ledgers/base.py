"""What every ledger offers. A ledger is a cache: lose it, and something is looked up again, nothing else.

It remembers what the bytes of a document parsed to, which documents a generation holds, which texts have
been embedded or compared, which deletions a person approved, and who is refreshing right now.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_assets.records import DocumentState, Vector


@dataclass(frozen=True, slots=True)
class ParseRecord:
    """What one version of a document parsed to.

    Attributes:
        source_uri: the document; of what was paid for, also bytes and model.
        raw_hash: SHA-256 of its bytes, hex; "" if they could not be read.
        content_hash: of its text; None if it is quarantined.
    """

    source_uri: str
    version_token: str
    raw_hash: str
    parser: str
    parser_version: str
    content_hash: str | None
    title: str
    quarantine_reason: str = ""
    quarantine_detail: str = ""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who refreshes, and when they last said so.

    Attributes:
        owner: Dagster run id.
        pid: of the process at work; None between two steps.
        age_seconds: since the last renewal.
    """

    owner: str
    host: str
    pid: int | None
    age_seconds: float


class Ledger(Protocol):
    """The cache of one knowledge base. Safe for several processes at once."""

    def parses(self, source_uris: Sequence[str]) -> dict[str, ParseRecord]:
        """Return the last parse of each document that is known."""
        ...

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        """Return a parse of the same bytes by the same parser, of whichever document."""
        ...

    def put_parses(self, records: Iterable[ParseRecord]) -> None: ...

    def documents(self, generation: str) -> list[DocumentState] | None:
        """Return the documents of a generation; None if the ledger does not know them."""
        ...

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        """Record the documents of a generation, all or none."""
        ...

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the cached vectors, float32 (dim,), of those keys that are known."""
        ...

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None: ...

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the cached signatures of those keys that are known; see `rag_assets.changes.near_duplicates`."""
        ...

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None: ...

    def approve(self, token: str) -> None:
        """Remember a person's approval of one set of deletions."""
        ...

    def approved_tokens(self) -> frozenset[str]: ...

    def prune(self, keep_generations: Iterable[str]) -> None:
        """Forget the documents of other generations, spent approvals and what was unused for the TTL."""
        ...

    def acquire_lease(
        self, owner: str, host: str, pid: int, expired_after_seconds: float, dead_owner: str | None = None
    ) -> LeaseHolder | None:
        """Take the lease if it is free, expired, the owner's already, or that of an owner known to be dead.

        Returns:
            None if the lease is now the owner's, else who holds it.
        """
        ...

    def renew_lease(self, owner: str, pid: int | None) -> bool:
        """Renew the lease; False if it is not the owner's (any more)."""
        ...

    def release_lease(self, owner: str) -> None: ...

    def lease_holder(self) -> LeaseHolder | None: ...

    def close(self) -> None: ...
