"""Documents by the names that people type: id, URI, path or filename."""

import difflib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rag_assets.disk.file_names import name_on_disk, shown_name
from rag_assets.errors import RefusedError
from rag_assets.evaluation.benchmark import ids_named
from rag_assets.records import DocumentState, Location
from rag_assets.text.control_characters import quoted, unescaped

_MOST_SUGGESTIONS = 5


def spelled_names(name: str) -> list[str]:
    """Return the spellings of a name: as typed, as a command shows it, and as URI if it is the path of a file."""
    spelled = [name, shown_name(name), unescaped(name)]
    for path in (name, name_on_disk(name), unescaped(name)):
        with suppress(OSError, ValueError):
            if Path(path).exists():
                spelled.append(Path(path).absolute().as_uri())
    return list(dict.fromkeys(spelled))


def document_named(name: str, documents: Iterable[DocumentState]) -> DocumentState | None:
    """Return the document of this name among those of a generation, or None. Of several with one text the first by id.

    Raises:
        RefusedError: the name fits several different documents.
    """
    by_id = {state.document_id: state for state in documents}
    for one in spelled_names(name):
        ids = ids_named(one, (state.location for state in by_id.values()))
        contents = {by_id[document_id].content_hash for document_id in ids}
        if len(ids) > 1 and (len(contents) > 1 or None in contents):
            raise ambiguous_name(name, ids)
        if ids:
            return by_id[ids[0]]
    return None


def ambiguous_name(name: str, document_ids: Iterable[str]) -> RefusedError:
    return RefusedError(
        f"{quoted(name)} is ambiguous, it fits {', '.join(document_ids)}: use one of these ids"
    )


def close_matches(name: str, locations: Iterable[Location]) -> list[str]:
    """Return the ids of the documents with the most similar names, best match first."""
    ids: dict[str, str] = {}
    for location in locations:
        for known in (location.path, location.filename, location.document_id):
            ids.setdefault(known.lower(), location.document_id)
    matches = difflib.get_close_matches(name.lower(), ids, n=3 * _MOST_SUGGESTIONS)
    return list(dict.fromkeys(ids[match] for match in matches))[:_MOST_SUGGESTIONS]
