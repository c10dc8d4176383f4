"""Faults put into the core by hand, to see that the state machine finds each of them.

A mutant is a patch of the core for the time of a block. None of them is in the product.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from rag_assets import embedding, knowledge_base
from rag_assets.changes import change_set
from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.defs import asset_checks
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.evaluation.gate import Verdict
from rag_assets.generations import contents, staging
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ingestion.source_reports import SourceReport
from rag_assets.ledgers import sqlite
from rag_assets.ledgers.base import ParseRecord
from rag_assets.records import DocumentState
from rag_assets.refresh import decision, measurement, promotion
from rag_assets.vector_stores.embedded import store

Mutant = Callable[[contextlib.ExitStack], None]


def _patch(stack: contextlib.ExitStack, owner: Any, name: str, instead: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, instead))


def candidate_is_not_verified(stack: contextlib.ExitStack) -> None:
    _patch(stack, measurement, "verify_candidate", lambda *_, **__: None)
    _patch(stack, promotion, "verify_candidate", lambda *_, **__: None)


def deletions_are_forgotten(stack: contextlib.ExitStack) -> None:
    def decide(*args: Any) -> list[DocumentChange]:
        return [
            replace(change, change=Change.UNCHANGED, content_hash=change.previous_content_hash)
            if change.change is Change.DELETED
            else change
            for change in change_set.decide_changes(*args)
        ]

    _patch(stack, decision, "decide_changes", decide)


def relocation_is_not_applied(stack: contextlib.ExitStack) -> None:
    _patch(stack, staging.Staging, "_relocate", lambda *_: 0)


def metadata_of_a_parse_are_forgotten(stack: contextlib.ExitStack) -> None:
    original = sqlite.parse_row

    def row(record: ParseRecord, used_at: float) -> tuple[Any, ...]:
        return original(replace(record, metadata=NO_METADATA), used_at)

    _patch(stack, sqlite, "parse_row", row)


def a_change_of_metadata_is_overlooked(stack: contextlib.ExitStack) -> None:
    _patch(stack, Metadata, "__eq__", lambda *_: True)


def old_points_stay(stack: contextlib.ExitStack) -> None:
    _patch(stack, staging.Staging, "_remove", lambda *_: 0)


def last_good_version_is_dropped(stack: contextlib.ExitStack) -> None:
    original = change_set._quarantined

    def quarantined(*args: Any) -> DocumentChange:
        return replace(original(*args), content_hash=None)

    _patch(stack, change_set, "_quarantined", quarantined)


def incomplete_source_counts_as_complete(stack: contextlib.ExitStack) -> None:
    _patch(stack, SourceReport, "complete", True)
    _patch(stack, Ingestion, "listing_hashes", {})


def another_base_is_accepted(stack: contextlib.ExitStack) -> None:
    original = promotion.promote

    def promote(vector_store: Any, ledger: Any, report: Any, **arguments: Any) -> Any:
        production = vector_store.production_state().production
        manifest = vector_store.manifest
        rebased = lambda name: manifest(name) and replace(manifest(name), base=production)  # noqa: E731
        with mock.patch.object(vector_store, "manifest", rebased):
            return original(vector_store, ledger, report, **arguments | {"base": production})

    from rag_assets.defs.assets import production_collection

    module = __import__("sys").modules["rag_assets.defs.assets.production_collection"]
    assert production_collection
    _patch(stack, module, "promote", promote)
    _patch(stack, store, "expect_production", lambda *_: None)


def every_verdict_is_positive(stack: contextlib.ExitStack) -> None:
    passed = Verdict(True, ("always",))
    _patch(stack, asset_checks, "judge", lambda *_: passed)
    _patch(stack, promotion, "judge", lambda *_: passed)


def hold_is_ignored(stack: contextlib.ExitStack) -> None:
    _patch(stack, promotion, "check_hold", lambda *_: None)
    _patch(stack, store, "check_hold", lambda *_: None)  # the store looks again


def cache_mixes_texts_up(stack: contextlib.ExitStack) -> None:
    original = embedding.cache_key
    _patch(stack, embedding, "cache_key", lambda model, text: original(model, text[:12]))


def points_of_other_settings_are_kept(stack: contextlib.ExitStack) -> None:
    def reusable(self: knowledge_base.KnowledgeBase) -> Any:
        return self.production_manifest()

    _patch(stack, knowledge_base.KnowledgeBase, "reusable_production", reusable)


def documents_are_taken_from_anywhere(stack: contextlib.ExitStack) -> None:
    """The ledger's documents of the generation recorded last count for every generation."""
    known: list[list[DocumentState]] = []
    original = contents.production_documents

    def documents(vector_store: Any, ledger: Any, generation: str | None) -> list[DocumentState]:
        if generation is not None and not known:
            known.append(original(vector_store, ledger, generation))
        return known[0] if known else []

    _patch(stack, knowledge_base, "production_documents", documents)


MUTANTS: tuple[Mutant, ...] = (
    candidate_is_not_verified,
    deletions_are_forgotten,
    relocation_is_not_applied,
    metadata_of_a_parse_are_forgotten,
    a_change_of_metadata_is_overlooked,
    old_points_stay,
    last_good_version_is_dropped,
    incomplete_source_counts_as_complete,
    another_base_is_accepted,
    every_verdict_is_positive,
    hold_is_ignored,
    cache_mixes_texts_up,
    points_of_other_settings_are_kept,
    documents_are_taken_from_anywhere,
)


@contextlib.contextmanager
def with_mutant(mutant: Mutant) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        mutant(stack)
        yield
