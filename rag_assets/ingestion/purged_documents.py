"""Purged documents: they stay out while their source still has them.

The list is kept twice: in the state folder, `purged/<knowledge base>.json`, and in the vector store. Losing one of them brings
no document back. Every reader takes both together, and each refresh completes the one that lacks a record. A purge is
recorded before anything is removed.

A record holds who, when and why, hashes of the texts, and hashes of the names of the document. Its names themselves, which may be
personal data, are there only until the purge is finished: it needs them. So a person who knows the name can ask for it, and
a reader of the list learns nothing.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import FORMAT_VERSION, read_json, write_json
from rag_assets.errors import StateFormatError
from rag_assets.fingerprint import name_hash
from rag_assets.settings import Settings
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import VectorStore

SHOWN_DIGITS = 12
"""Of a hash, for people."""
_logger = logging.getLogger(__name__)
_TEXTS = ("document_hash", "at", "by", "reason", "document_id", "completed_at", "lifted_at", "lifted_by")
_LISTS = ("names", "contents", "known_as", "source_uris")


@dataclass(frozen=True, slots=True)
class PurgedDocument:
    """One purged document.

    Attributes:
        document_hash: SHA-256 of its id.
        at, completed_at, lifted_at: ISO 8601 in UTC, "" for not yet.
        by: name of the person, "" if unknown. `lifted_by` likewise.
        reason: "" if none was given.
        names: hashes of its URIs, paths and filenames.
        contents: hashes of its texts.
        document_id, known_as, source_uris: its id, its other names, and its URIs. Empty in a finished record.
    """

    document_hash: str
    at: str
    by: str = ""
    reason: str = ""
    names: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    document_id: str = ""
    known_as: tuple[str, ...] = ()
    source_uris: tuple[str, ...] = ()
    completed_at: str = ""
    lifted_at: str = ""
    lifted_by: str = ""

    @property
    def is_kept_out(self) -> bool:
        return not self.lifted_at

    @property
    def is_unfinished(self) -> bool:
        return self.is_kept_out and not self.completed_at

    @property
    def shown(self) -> str:
        """Its id while the purge is unfinished, then the begin of its hash."""
        return self.document_id or self.document_hash[:SHOWN_DIGITS]

    def is_named(self, name: str) -> bool:
        """Whether this is its id, URI, path or filename, or at least twelve digits of its hash."""
        if len(name) >= SHOWN_DIGITS and self.document_hash.startswith(name):
            return True
        return name_hash(name) in (self.document_hash, *self.names)

    def has_address(self, uri: str) -> bool:
        return uri in self.source_uris or name_hash(uri) in self.names

    def finished(self, at: str) -> "PurgedDocument":
        """Return the record of the finished purge, without names."""
        return replace(self, completed_at=at, document_id="", known_as=(), source_uris=())

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else " (no reason given)"
        return f"{self.shown}, purged on {self.at} by {self.by or 'an unknown person'}{why}"


class KeptOut:
    """The documents to keep out, asked by id."""

    def __init__(self, records: Mapping[str, PurgedDocument]) -> None:
        self._records = {name: one for name, one in records.items() if one.is_kept_out}

    def get(self, document_id: str) -> PurgedDocument | None:
        return self._records.get(name_hash(document_id)) if self._records else None

    def __contains__(self, document_id: object) -> bool:
        return isinstance(document_id, str) and self.get(document_id) is not None

    def __iter__(self) -> Iterator[PurgedDocument]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)


class PurgedDocuments:
    """The purged documents of one knowledge base."""

    def __init__(self, settings: Settings, store: VectorStore) -> None:
        self._path: Path = settings.state_dir / "purged" / f"{settings.collection}.json"
        self._store = store

    def all(self) -> dict[str, PurgedDocument]:
        """Return hash of the id -> record, also lifted ones.

        Raises:
            StateFormatError: one of the lists is damaged. Nothing is refreshed then: a purged document could come back.
            VectorStoreUnavailable: the store does not answer.
        """
        return _later_of_both(self._in_file(), self._in_store())

    def kept_out(self) -> KeptOut:
        """Return the documents to keep out. Raises as `all`."""
        return KeptOut(self.all())

    def put(self, documents: Iterable[PurgedDocument]) -> None:
        """Add records durably, or replace those with the same hash."""
        changed = {one.document_hash: one for one in documents}
        if changed:
            self._write({**self.all(), **changed}, changed.keys())

    def merge(self, others: Iterable[PurgedDocument]) -> None:
        """Add records of a backup. Of two records of one document the later decision counts."""
        known = self.all()
        newer = [
            one
            for one in others
            if (mine := known.get(one.document_hash)) is None or _decided_at(mine) < _decided_at(one)
        ]
        # They may be in this knowledge base: only their purge here completes them.
        self.put(replace(one, completed_at="") if one.is_kept_out else one for one in newer)

    def write_back(self) -> None:
        """Complete the list that lacks a record of the other one."""
        in_file, in_store = self._in_file(), self._in_store()
        known = _later_of_both(in_file, in_store)
        for place, has in (("the state folder", in_file), ("the vector store", in_store)):
            missing = {name for name, one in known.items() if has.get(name) != one}
            kept_out = sum(known[name].is_kept_out for name in missing - has.keys())
            if kept_out:
                _logger.warning(
                    "%s lacked the record of %s: they stay out, and the record is there again",
                    place,
                    counted(kept_out, "purged document"),
                )
            if missing:
                self._write(known, missing)

    def to_bytes(self) -> bytes:
        """Return the list for a backup, b"" if it is empty. Raises as `all`."""
        known = self.all()
        return json.dumps(_stored(known), ensure_ascii=False).encode() if known else b""

    def _in_file(self) -> dict[str, PurgedDocument]:
        stored = read_json(self._path)
        return {} if stored is None else purged_from(stored, str(self._path))

    def _in_store(self) -> dict[str, PurgedDocument]:
        found: dict[str, PurgedDocument] = {}
        for name, text in self._store.records("purged").items():
            where = f"record {name} in the vector store"
            try:
                one = _record_from(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise _damaged(where) from None
            found[one.document_hash] = one
        return found

    def _write(self, known: Mapping[str, PurgedDocument], changed: Iterable[str]) -> None:
        texts = {name: json.dumps(asdict(known[name]), ensure_ascii=False) for name in changed}
        self._store.put_records("purged", texts)
        make_private_folder(self._path.parent)
        write_json(self._path, _stored(known))


def purged_from(stored: Mapping[str, Any], where: str) -> dict[str, PurgedDocument]:
    """Return hash of the id -> record.

    Raises:
        StateFormatError: it is damaged.
    """
    try:
        found = [_record_from(one) for one in stored["documents"]]
    except (KeyError, TypeError, AttributeError):
        raise _damaged(where) from None
    return {one.document_hash: one for one in found}


def _record_from(stored: Mapping[str, Any]) -> PurgedDocument:
    fields: dict[str, Any] = {key: tuple(stored[key]) if key in _LISTS else stored[key] for key in stored}
    if "document_hash" not in stored:  # of a version with names
        fields["document_hash"] = name_hash(stored["document_id"])
        fields["names"] = tuple(sorted(map(name_hash, stored["source_uris"])))
    if any(not isinstance(fields[key], str) for key in _TEXTS if key in fields):
        raise TypeError
    one = PurgedDocument(**fields)
    return one.finished(one.completed_at) if one.completed_at else one


def _damaged(where: str) -> StateFormatError:
    return StateFormatError(
        f"{where} is damaged: it lists the purged documents. Restore it from a backup, or remove it and purge them again"
    )


def _stored(known: Mapping[str, PurgedDocument]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "documents": [asdict(one) for _, one in sorted(known.items())]}


def _decided_at(one: PurgedDocument) -> str:
    return max(one.at, one.lifted_at)


def _later_of_both(
    one: Mapping[str, PurgedDocument], other: Mapping[str, PurgedDocument]
) -> dict[str, PurgedDocument]:
    """Return all records. Of two of one document the later decision counts, then the stricter, then the finished one."""
    found = dict(one)
    for name, theirs in other.items():
        mine = found.get(name)
        if mine is None or _rank(theirs) > _rank(mine):
            found[name] = theirs
    return found


def _rank(one: PurgedDocument) -> tuple[str, bool, str]:
    return _decided_at(one), one.is_kept_out, one.completed_at
