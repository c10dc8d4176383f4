"""The guard against an unusual number of deletions in one refresh, and the approval token."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.errors import DeletionRefused
from rag_assets.fingerprint import short_hash
from rag_assets.text.wording import counted


@dataclass(frozen=True, slots=True)
class DeletionGuard:
    """Stops a refresh with too many deletions.

    Attributes:
        max_share: share of production's documents, 0 to 1.
        max_documents: this many documents may always be deleted.
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
        """Let the deletions pass, or raise.

        Args:
            production: document id -> source, of every document in production.
            approved_tokens: tokens approved by a person.

        Raises:
            DeletionRefused: too many at once, and not approved. Carries the token.
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
            f"no document of source {', '.join(emptied)} is left"
            if emptied
            else f"more than {self.max_share:.0%} and more than {self.max_documents} documents at once"
        )
        examples = ", ".join(deleted[:5]) + (" …" if len(deleted) > 5 else "")
        raise DeletionRefused(
            f"refused to delete {len(deleted)} of {counted(len(production), 'document')} ({why}): {examples}. "
            "Nothing was deleted. If the documents are missing by mistake, restore them and refresh. If the deletion is "
            f"intended, run `rag-assets approve {token}` and refresh.",
            token,
        )


def deletion_token(base: str | None, document_ids: Iterable[str]) -> str:
    """Return the token of exactly this set of deletions from exactly this generation."""
    return short_hash([base, sorted(document_ids)])
