"""A knowledge base for commands that only read: it creates and changes nothing in the state folder.

Results that a report would keep for the next one go to memory, or to a temporary folder deleted at the end.
"""

import contextlib
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

from rag_assets.errors import LedgerUnavailable
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.overlay import OverlayLedger
from rag_assets.ledgers.read_only_sqlite import InMemoryLedger
from rag_assets.ledgers.registry import build_read_only_ledger


class ReadOnlyKnowledgeBase(KnowledgeBase):
    """Reads the real state. Close it, to delete the temporary folder."""

    @cached_property
    def scratch(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="rag-assets-"))

    @cached_property
    def ledger(self) -> Ledger:
        # A knowledge base without an id has no rows.
        identity = self.vector_store.find_knowledge_base_id() or ""
        return OverlayLedger(
            above=self._ledger_above(identity),
            below=build_read_only_ledger(self.settings, identity),
        )

    def _ledger_above(self, identity: str) -> Ledger:
        return InMemoryLedger(identity)

    def folder_of_source(self, name: str) -> Path:
        """Return a copy of the notes of a source: listing its pages writes there."""
        copy = self.scratch / "sources" / name
        with contextlib.suppress(OSError, shutil.Error):  # missing notes are fetched again
            shutil.copytree(super().folder_of_source(name), copy, dirs_exist_ok=True)
        return copy

    def close(self) -> None:
        super().close()
        if "scratch" in self.__dict__:
            shutil.rmtree(self.scratch, ignore_errors=True)


def go_on_without_ledger(knowledge_base: KnowledgeBase) -> str:
    """Put an empty ledger in the place of one that does not answer: it is a cache, and a report can do without.

    Returns:
        Why the ledger does not answer, or "" if it does.
    """
    try:
        knowledge_base.ledger.approved_tokens()
    except LedgerUnavailable as error:
        knowledge_base.ledger = InMemoryLedger(knowledge_base.vector_store.find_knowledge_base_id() or "")
        return str(error)
    return ""
