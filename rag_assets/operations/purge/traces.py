"""Traces of a document outside of the generations: ledger, texts, records of refreshes, notes of sources, leftovers."""

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_assets.alerts.book_file import BookFile, BusyError
from rag_assets.changes.near_duplicates import signature_keys
from rag_assets.disk.atomic_files import TEMPORARY_PREFIX, replace_file
from rag_assets.errors import RefusedError, StateFormatError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.registry import LEDGER_FILE
from rag_assets.operations.purge.known_documents import WITH_DOCUMENTS
from rag_assets.settings import Settings
from rag_assets.sources.web.page_notes import PageNotes
from rag_assets.text.forgotten_names import forgetting, forgotten_in

_ALERTS_SECONDS = 60.0
_NO_SLICES = {"slices": [], "slice_by": ""}


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


def remove_from_records(
    knowledge_base: KnowledgeBase, document_ids: Collection[str], names: Collection[str]
) -> None:
    """Remove documents from the records of the last refreshes: their rows, and their names in what is said of others.

    Chunks and embeddings of all refreshes go: they are of use to a refresh in progress only. So do slices of reports, whose
    values are metadata of documents.
    """
    artifacts, forget = knowledge_base.artifacts, forgetting(names)
    for asset in ("chunks", "embeddings"):
        artifacts.remove_asset(asset)
    artifacts.remove_unreadable()

    def changed(row: dict[str, Any]) -> dict[str, Any] | None:
        if row.get("document_id") in document_ids:
            return None
        return forgotten_in({**row, "slices": []} if "slices" in row else row, forget)

    def changed_details(details: dict[str, Any]) -> dict[str, Any]:
        return forgotten_in(
            _without({**details, **_NO_SLICES} if "slices" in details else details, document_ids), forget
        )

    for asset in (*WITH_DOCUMENTS, "eval_report"):
        for artifact in artifacts.kept(asset):
            with suppress(StateFormatError):
                if any(changed(row) != row for row in artifact.rows()) or (
                    changed_details(artifact.details) != artifact.details
                ):
                    artifacts.rewrite(artifact, changed, changed_details)
    _remove_from_files(knowledge_base.failures.folder, forget)
    _remove_from_alerts(knowledge_base.settings, forget)
    _remove_from_refusals(knowledge_base.ledger, forget)


def _remove_from_alerts(settings: Settings, forget: Callable[[str], str]) -> None:
    """Remove names from messages that wait for their delivery, and from open incidents."""
    folder = settings.state_dir / "alerts" / settings.collection
    if not folder.exists():
        return
    try:
        with BookFile(folder).locked(time.monotonic() + _ALERTS_SECONDS):
            _remove_from_files(folder, forget)
    except BusyError:
        raise RefusedError(
            f"alerts are being delivered, and {folder} may name it: run the command again"
        ) from None


def _remove_from_refusals(ledger: Ledger, forget: Callable[[str], str]) -> None:
    """Remove names from the examples of pending refusals. Their approvals stay."""
    approved = ledger.approved_tokens()
    for token, refusal in ledger.refusals().items():
        examples = tuple(map(forget, refusal.examples))
        if examples != refusal.examples:
            ledger.end_approvals([token])
            ledger.put_refusals([replace(refusal, examples=examples)])
            if token in approved:
                ledger.approve(token)


def _remove_from_files(folder: Path, forget: Callable[[str], str]) -> None:
    """Remove names from the small records beside the artifacts, such as the message of the last failure."""
    for path in (*folder.glob("*.json"), *folder.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found = lines if path.suffix == ".jsonl" else ["".join(lines)]
        told: list[str] = []
        changed = False
        for line in found:
            try:
                stored = json.loads(line)
            except ValueError:
                changed = True  # nothing reads it, and it may hold anything
                continue
            other = forgotten_in(stored, forget)
            changed = changed or other != stored
            told.append(json.dumps(other, ensure_ascii=False))
        if changed:
            replace_file(path, "".join(f"{line}\n" for line in told).encode("utf-8", "replace"), durable=True)


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
    """Remove files set aside as unreadable, those of killed writers, and a ledger that is not used any more.

    They may hold any document. Return the paths of the first and the last kind.
    """
    settings = knowledge_base.settings
    aside = [
        *settings.state_dir.glob("ledger.sqlite.unreadable-*"),
        *(settings.state_dir / "vector_store").glob(f"{settings.collection}--unreadable-*"),
    ]
    if settings.redis_address is not None:
        # Of the time before Redis. It is a cache, also for other knowledge bases in this folder.
        aside += settings.state_dir.glob(f"{LEDGER_FILE}*")
    for path in aside:
        _remove(path)
    for folder in ("texts", "artifacts"):
        for path in (settings.state_dir / folder / settings.collection).rglob(f"{TEMPORARY_PREFIX}*"):
            _remove(path)
    return sorted(map(str, aside))


def unused_vector_store(knowledge_base: KnowledgeBase) -> Path | None:
    """Return the folder of the embedded store of the time before a server, which may hold any document."""
    settings = knowledge_base.settings
    folder = settings.state_dir / "vector_store" / settings.collection
    return folder if settings.qdrant_url and folder.exists() else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
