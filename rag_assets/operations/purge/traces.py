"""Traces of a document outside of the generations: ledger, texts, records of refreshes, notes of sources, leftovers."""

import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_assets.changes.near_duplicates import signature_keys
from rag_assets.disk.atomic_files import TEMPORARY_PREFIX
from rag_assets.errors import StateFormatError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations.purge.known_documents import WITH_DOCUMENTS
from rag_assets.sources.web.page_notes import PageNotes


def forget_cached(
    knowledge_base: KnowledgeBase,
    source_uris: Collection[str],
    contents: Collection[str],
    vector_keys: Collection[bytes],
) -> None:
    """Erase parses, vectors and signatures from the ledger, and entries forgotten earlier from its file.

    Raises:
        LedgerUnavailable: traces may be left.
    """
    knowledge_base.ledger.erase(
        source_uris=source_uris,
        contents=contents,
        vectors=vector_keys,
        signatures=signature_keys(contents),
    )


def remove_texts(knowledge_base: KnowledgeBase, kept: set[str]) -> int:
    """Remove every text that no generation and no source has any more, however new. Return their number."""
    return knowledge_base.text_store.prune(kept, grace_seconds=-1)


def remove_from_records(knowledge_base: KnowledgeBase, document_ids: Collection[str]) -> None:
    """Remove documents from the records of the last refreshes.

    Chunks and embeddings of all refreshes go: they are of use to a refresh in progress only.
    """
    artifacts = knowledge_base.artifacts
    for asset in ("chunks", "embeddings"):
        artifacts.remove_asset(asset)
    artifacts.remove_unreadable()
    for asset in WITH_DOCUMENTS:
        for artifact in artifacts.kept(asset):
            with suppress(StateFormatError):
                if _names_one(artifact.rows(), document_ids) or _mentions(artifact.details, document_ids):
                    artifacts.rewrite(
                        artifact,
                        lambda row: not _is_about(row, document_ids),
                        lambda details: _without(details, document_ids),
                    )


def _names_one(rows: Iterable[dict[str, Any]], document_ids: Collection[str]) -> bool:
    return any(_is_about(row, document_ids) for row in rows)


def _is_about(row: dict[str, Any], document_ids: Collection[str]) -> bool:
    return row.get("document_id") in document_ids


def _mentions(value: object, document_ids: Collection[str]) -> bool:
    return value != _without(value, document_ids)


def _without(value: Any, document_ids: Collection[str]) -> Any:
    """Return JSON-compatible data without the entries about these documents."""
    if isinstance(value, dict):
        return {key: _without(one, document_ids) for key, one in value.items() if key not in document_ids}
    if isinstance(value, list):
        return [_without(one, document_ids) for one in value if not _is_entry_of(one, document_ids)]
    return value


def _is_entry_of(value: Any, document_ids: Collection[str]) -> bool:
    if isinstance(value, dict):
        return value.get("document_id") in document_ids
    return isinstance(value, str) and value in document_ids


def remove_notes(knowledge_base: KnowledgeBase, source: str, source_uris: Iterable[str]) -> None:
    """Remove the notes of a source about its pages."""
    PageNotes(knowledge_base.folder_of_source(source)).remove(source_uris)


def remove_leftovers(knowledge_base: KnowledgeBase) -> list[str]:
    """Remove files set aside as unreadable, and those of killed writers.

    They may hold any document, and cannot be searched. Return the paths of those set aside.
    """
    settings = knowledge_base.settings
    aside = [
        *settings.state_dir.glob("ledger.sqlite.unreadable-*"),
        *(settings.state_dir / "vector_store").glob(f"{settings.collection}--unreadable-*"),
    ]
    for path in aside:
        _remove(path)
    for folder in ("texts", "artifacts"):
        for path in (settings.state_dir / folder / settings.collection).rglob(f"{TEMPORARY_PREFIX}*"):
            _remove(path)
    return sorted(map(str, aside))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
