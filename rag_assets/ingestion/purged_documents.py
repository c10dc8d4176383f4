"""Purged documents: they stay out while their source still has them.

One file per knowledge base in the state folder, `purged/<knowledge base>.json`, replaced as a whole and made durable. It
holds ids, hashes, names and reasons, and no text. A purge is recorded before anything is removed, so a later refresh
never brings the document back.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import FORMAT_VERSION, read_json, write_json
from rag_assets.errors import StateFormatError
from rag_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class PurgedDocument:
    """One purged document.

    Attributes:
        at, completed_at, lifted_at: ISO 8601 in UTC, "" for not yet.
        by: name of the person, "" if unknown. `lifted_by` likewise.
        reason: "" if none was given.
        source_uris: of its remembered parses.
        contents: hashes of its texts.
    """

    document_id: str
    at: str
    by: str = ""
    reason: str = ""
    source_uris: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    completed_at: str = ""
    lifted_at: str = ""
    lifted_by: str = ""

    @property
    def is_kept_out(self) -> bool:
        return not self.lifted_at

    @property
    def is_unfinished(self) -> bool:
        return self.is_kept_out and not self.completed_at

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else " (no reason given)"
        return f"{self.document_id}, purged on {self.at} by {self.by or 'an unknown person'}{why}"


class PurgedDocuments:
    """The purged documents of one knowledge base."""

    def __init__(self, settings: Settings) -> None:
        self._path: Path = settings.state_dir / "purged" / f"{settings.collection}.json"

    def all(self) -> dict[str, PurgedDocument]:
        """Return id -> document, also lifted ones.

        Raises:
            StateFormatError: the file is damaged. Nothing is refreshed then: a purged document could come back.
        """
        stored = read_json(self._path)
        return {} if stored is None else purged_from(stored, str(self._path))

    def kept_out(self) -> dict[str, PurgedDocument]:
        """Return id -> document, without lifted ones. Raises as `all`."""
        return {name: one for name, one in self.all().items() if one.is_kept_out}

    def put(self, documents: Iterable[PurgedDocument]) -> None:
        """Add documents, or replace those with the same id."""
        known = self.all()
        known.update((one.document_id, one) for one in documents)
        make_private_folder(self._path.parent)
        write_json(self._path, _stored(known))

    def merge(self, others: Iterable[PurgedDocument]) -> None:
        """Add documents of a backup. Of two records of one document the later decision counts."""
        known = self.all()
        newer = [
            one
            for one in others
            if (mine := known.get(one.document_id)) is None or _decided_at(mine) < _decided_at(one)
        ]
        if newer:
            # They may be in this knowledge base: only their purge here completes them.
            self.put(replace(one, completed_at="") if one.is_kept_out else one for one in newer)

    def to_bytes(self) -> bytes:
        """Return the file for a backup, b"" if there is none. Raises as `all`."""
        known = self.all()
        return json.dumps(_stored(known), ensure_ascii=False).encode() if known else b""


def purged_from(stored: dict[str, Any], where: str) -> dict[str, PurgedDocument]:
    """Return id -> document.

    Raises:
        StateFormatError: it is damaged.
    """
    try:
        found: list[PurgedDocument] = []
        for one in stored["documents"]:
            fields: dict[str, Any] = {
                **one,
                "source_uris": tuple(one["source_uris"]),
                "contents": tuple(one["contents"]),
            }
            found.append(PurgedDocument(**fields))
    except (KeyError, TypeError, AttributeError):
        raise StateFormatError(
            f"{where} is damaged: it lists the purged documents. Restore it from a backup, or remove it and purge them again"
        ) from None
    return {one.document_id: one for one in found}


def _stored(known: dict[str, PurgedDocument]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "documents": [asdict(one) for _, one in sorted(known.items())]}


def _decided_at(one: PurgedDocument) -> str:
    return max(one.at, one.lifted_at)
