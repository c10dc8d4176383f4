"""The interface of every ledger. A ledger is a cache: after its loss, some work is done again, and nothing else happens.

It remembers parse results, the documents of each generation, vectors and signatures of texts, approved deletions, the
spending of runs, and the current holder of the refresh lease.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.records import DocumentState, Refusal, Vector


@dataclass(frozen=True, slots=True)
class ParseRecord:
    """The parse result of one version of a document.

    Attributes:
        source_uri: the document. For a paid result, also its bytes and the model.
        raw_hash: SHA-256 of its bytes, hex, or "" if they could not be read.
        content_hash: of its text, or None if it is quarantined.
        metadata: from the document itself.
        reading_metadata: from the source, known only after reading.
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
    metadata: Metadata = NO_METADATA
    reading_metadata: Metadata = NO_METADATA


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The holder of the refresh lease, and the time since its last renewal.

    Attributes:
        owner: Dagster run id.
        host: the space of its pid. See `rag_assets.disk.processes.pid_space`.
        pid: of the working process, or None between two steps.
        renewed_at: seconds since the epoch, by the clock of the holder, or of the server with the ledger. Only compared
            for equality: another value is another renewal.
        age_seconds: since the last renewal, by two readings of a clock that may have been set between them.
    """

    owner: str
    host: str
    pid: int | None
    renewed_at: float
    age_seconds: float

    def is_unchanged_since(self, earlier: "LeaseHolder") -> bool:
        """Return whether the same owner holds the lease, without a renewal since `earlier`."""
        return (self.owner, self.renewed_at) == (earlier.owner, earlier.renewed_at)


Purpose = Literal["documents", "media", "probe", "questions"]
"""What tokens were spent on: chunks, recordings and pictures, the check of the model, benchmark questions."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens and cost of one model for one purpose.

    Attributes:
        tokens: billed, input and output.
        usd: None if the price is unknown.
    """

    purpose: Purpose
    model: str
    tokens: int
    usd: float | None

    def plus(self, other: "Spending") -> "Spending":
        """Return the sum. An unknown cost stays unknown."""
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Spending(self.purpose, self.model, self.tokens + other.tokens, usd)


class Ledger(Protocol):
    """The cache of one knowledge base. Safe for several processes at once."""

    def parses(self, source_uris: Sequence[str]) -> dict[str, ParseRecord]:
        """Return the last parse of each known document."""
        ...

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        """Return a parse of the same bytes by the same parser, from any document."""
        ...

    def put_parses(self, records: Iterable[ParseRecord]) -> None: ...

    def forget_quarantined(self, source_uris: Sequence[str]) -> set[str]:
        """Forget the parses of these documents without a text, and those of the same bytes elsewhere.

        Returns:
            The documents among them with such a parse.
        """
        ...

    def documents(self, generation: str) -> list[DocumentState] | None:
        """Return the documents of a generation, or None if the ledger does not know them."""
        ...

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        """Record the documents of a generation, all or none."""
        ...

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the cached vectors, float32 (dim,), of the known keys."""
        ...

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None: ...

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the cached signatures of the known keys. See `rag_assets.changes.near_duplicates`."""
        ...

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None: ...

    def put_refusals(self, refusals: Iterable[Refusal]) -> None:
        """Remember refusals by their token. An earlier record of the same token stays."""
        ...

    def refusals(self) -> dict[str, Refusal]:
        """Return token -> refusal."""
        ...

    def approve(self, token: str) -> None:
        """Remember the approval of one refusal."""
        ...

    def end_approvals(self, tokens: Iterable[str]) -> None:
        """Forget these refusals and their approvals."""
        ...

    def approved_tokens(self) -> frozenset[str]: ...

    def add_spending(self, run_id: str, spent: Spending) -> None:
        """Add to the spending of a run, at once: a run that dies has been counted until then. Loses no other addition."""
        ...

    def spending(self) -> dict[str, list[Spending]]:
        """Return run -> its sums by purpose and model, sorted. Of all runs until `forget_spending`."""
        ...

    def forget_spending(self, run_ids: Iterable[str]) -> None:
        """Forget the spending of runs that is recorded elsewhere."""
        ...

    def prune(self, keep_generations: Iterable[str]) -> None:
        """Forget the documents of other generations, approvals of unknown refusals, and entries unused for the TTL.

        The spending of a run is such an entry.
        """
        ...

    def all_parses(self) -> Iterator[list[ParseRecord]]:
        """Yield all parses in batches, for a backup. One written in the meantime may be missing."""
        ...

    def all_vectors(self) -> Iterator[dict[bytes, Vector]]:
        """Yield all cached vectors in batches, as `all_parses`."""
        ...

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        """Yield all cached signatures in batches, as `all_parses`."""
        ...

    def erase(
        self,
        *,
        source_uris: Iterable[str] = (),
        contents: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        signatures: Iterable[bytes] = (),
    ) -> None:
        """Forget entries for good, so that no file holds them any more, and what was forgotten earlier.

        Args:
            source_uris: documents with parses to forget.
            contents: hashes of texts. Every parse with one of them is forgotten.
            vectors, signatures: keys.

        Raises:
            LedgerUnavailable: another process kept the file open for too long. The entries are forgotten, but traces of
                them may be left. Call it again.
        """
        ...

    def acquire_lease(
        self, owner: str, host: str, pid: int, dead: LeaseHolder | None = None
    ) -> LeaseHolder | None:
        """Take the lease if it is free, already the owner's, or not renewed since its holder was found dead.

        Returns:
            None if the lease is now the owner's, otherwise its holder.
        """
        ...

    def renew_lease(self, owner: str, pid: int | None) -> bool:
        """Renew the lease. Return False if it is not, or no longer, the owner's."""
        ...

    def release_lease(self, owner: str) -> None: ...

    def lease_holder(self) -> LeaseHolder | None: ...

    def close(self) -> None: ...


@runtime_checkable
class DescribesServer(Protocol):
    """A ledger on a server. Asked by `doctor` only."""

    def describe_server(self) -> list[str]:
        """Return what a person has to know of the server: version, memory, policy, and what will not do.

        Raises:
            ConfigurationError, LedgerUnavailable: the server cannot hold a ledger, or does not answer.
        """
        ...
