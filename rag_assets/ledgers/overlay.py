"""A ledger over another one: reads fall through, writes stay above. For dry runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rag_assets.ledgers.base import DescribesServer, LeaseHolder, Ledger, ParseRecord, Spending
from rag_assets.records import DocumentState, Refusal, Vector


class OverlayLedger:
    """See `rag_assets.ledgers.base.Ledger`. Cleanup and taking the lease use only the upper ledger.

    Args:
        above: receives the writes, and has priority for reads.
        below: only read.
    """

    def __init__(self, above: Ledger, below: Ledger) -> None:
        self._above = above
        self._below = below

    def parses(self, source_uris: Sequence[str]) -> dict[str, ParseRecord]:
        return self._below.parses(source_uris) | self._above.parses(source_uris)

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        key = (raw_hash, parser, parser_version)
        return self._above.parse_of_bytes(*key) or self._below.parse_of_bytes(*key)

    def put_parses(self, records: Iterable[ParseRecord]) -> None:
        self._above.put_parses(records)

    def forget_quarantined(self, source_uris: Sequence[str]) -> set[str]:
        return self._above.forget_quarantined(source_uris)

    def documents(self, generation: str) -> list[DocumentState] | None:
        found = self._above.documents(generation)
        return self._below.documents(generation) if found is None else found

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        self._above.put_documents(generation, documents)

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        return self._below.vectors(keys) | self._above.vectors(keys)

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None:
        self._above.put_vectors(vectors)

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return self._below.signatures(keys) | self._above.signatures(keys)

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None:
        self._above.put_signatures(signatures)

    def put_refusals(self, refusals: Iterable[Refusal]) -> None:
        self._above.put_refusals(refusals)

    def refusals(self) -> dict[str, Refusal]:
        return self._above.refusals() | self._below.refusals()

    def end_approvals(self, tokens: Iterable[str]) -> None:
        self._above.end_approvals(tokens)

    def approve(self, token: str) -> None:
        self._above.approve(token)

    def approved_tokens(self) -> frozenset[str]:
        return self._above.approved_tokens() | self._below.approved_tokens()

    def add_spending(self, run_id: str, spent: Spending) -> None:
        self._above.add_spending(run_id, spent)

    def spending(self) -> dict[str, list[Spending]]:
        return self._below.spending() | self._above.spending()

    def forget_spending(self, run_ids: Iterable[str]) -> None:
        self._above.forget_spending(run_ids)

    def prune(self, keep_generations: Iterable[str]) -> None:
        self._above.prune(keep_generations)

    def all_parses(self) -> Iterator[list[ParseRecord]]:
        yield from self._below.all_parses()
        yield from self._above.all_parses()

    def all_vectors(self) -> Iterator[dict[bytes, Vector]]:
        yield from self._below.all_vectors()
        yield from self._above.all_vectors()

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        yield from self._below.all_signatures()
        yield from self._above.all_signatures()

    def erase(
        self,
        *,
        source_uris: Iterable[str] = (),
        contents: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        signatures: Iterable[bytes] = (),
    ) -> None:
        self._above.erase(source_uris=source_uris, contents=contents, vectors=vectors, signatures=signatures)

    def acquire_lease(
        self, owner: str, host: str, pid: int, dead: LeaseHolder | None = None
    ) -> LeaseHolder | None:
        return self._above.acquire_lease(owner, host, pid, dead)

    def renew_lease(self, owner: str, pid: int | None) -> bool:
        return self._above.renew_lease(owner, pid)

    def release_lease(self, owner: str) -> None:
        self._above.release_lease(owner)

    def lease_holder(self) -> LeaseHolder | None:
        return self._above.lease_holder() or self._below.lease_holder()

    def describe_server(self) -> list[str]:
        return self._below.describe_server() if isinstance(self._below, DescribesServer) else []

    def close(self) -> None:
        self._above.close()
        self._below.close()
