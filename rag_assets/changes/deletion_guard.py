"""The guard against suspiciously many deletions in one refresh, and the token that approves them."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.errors import DeletionRefused
from rag_assets.fingerprint import short_hash


@dataclass(frozen=True, slots=True)
class DeletionGuard:
    """Stops a refresh that would delete suspiciously much.

    Attributes:
        max_share: share of production's documents, 0 to 1.
        max_documents: this many may always go.
    """

    max_share: float = 0.3
    max_documents: int = 10

    def check(
        self,
        production: Mapping[str, str],
        changes: Iterable[DocumentChange],
        *,
        base: str | None,
        approved_tokens: Set[str],
    ) -> None:
        """Let the deletions through, or ask.

        Args:
            production: document id -> source, of every document in production.
            approved_tokens: tokens that a person has approved.

        Raises:
            DeletionRefused: too much at once, and not approved. Carries the token.
        """
        changes = list(changes)
        deleted = sorted(change.document_id for change in changes if change.change is Change.DELETED)
        if not deleted:
            return
        alive = {change.location.source for change in changes if change.change is not Change.DELETED}
        emptied = sorted({production[document_id] for document_id in deleted} - alive)
        share = len(deleted) / len(production)
        too_many = share > self.max_share and len(deleted) > self.max_documents
        if not too_many and not emptied:
            return
        token = deletion_token(base, deleted)
        if token in approved_tokens:
            return
        why = (
            f"source {', '.join(emptied)} went from something to nothing"
            if emptied
            else f"more than {self.max_share:.0%} and more than {self.max_documents} documents at once"
        )
        examples = ", ".join(deleted[:5]) + (" …" if len(deleted) > 5 else "")
        raise DeletionRefused(
            f"refused to delete {len(deleted)} of {len(production)} documents ({why}): {examples}. "
            "Nothing was deleted. If they are gone by mistake, bring them back and refresh; if this is meant, "
            f"run `rag-assets approve {token}` and refresh.",
            token,
        )


def deletion_token(base: str | None, document_ids: Iterable[str]) -> str:
    """Name exactly this set of deletions from exactly this generation; no other set has the token."""
    return short_hash([base, sorted(document_ids)])
