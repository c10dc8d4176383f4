"""The kinds of the values of each key, over all documents of a generation.

They tell a mistyped filter from one that finds nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, get_args

from rag_assets.document_metadata.normalization import is_date
from rag_assets.document_metadata.policy import MetadataKind
from rag_assets.document_metadata.values import Metadata, MetadataValue

ValueKind = Literal["text", "number", "date", "boolean"]
"""A list of texts is `text`."""
Kinds = Mapping[str, frozenset[ValueKind]]

_MOST_KEYS = 1_000
KEYS_LEFT_OUT = "*"
"""Stands for the keys beyond the most frequent ones."""
_NAMES: tuple[ValueKind, ...] = get_args(ValueKind)
_OF_INDEX: dict[MetadataKind, ValueKind] = {
    "keyword": "text",
    "integer": "number",
    "float": "number",
    "datetime": "date",
    "bool": "boolean",
}


def kind_of(value: MetadataValue) -> ValueKind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "date" if is_date(value) else "text"


def kinds_to_text(documents: Iterable[Metadata]) -> str:
    """Return the keys of these documents with their kinds, as stored. Of too many keys the rarest are left out."""
    counts: Counter[str] = Counter()
    kinds: dict[str, set[ValueKind]] = {}
    for metadata in documents:
        for key, value in metadata.pairs:
            counts[key] += 1
            kinds.setdefault(key, set()).add(kind_of(value))
    kept = sorted(counts, key=lambda key: (-counts[key], key))[:_MOST_KEYS]
    stored = {key: sorted(kinds[key]) for key in sorted(kept)}
    return json.dumps(stored | ({KEYS_LEFT_OUT: []} if len(kept) < len(counts) else {}), ensure_ascii=False)


def kinds_from_text(stored: str) -> Kinds | None:
    """Return key -> kinds, or None if they were not stored, as by earlier versions.

    Raises:
        ValueError: the text is damaged.
    """
    if not stored:
        return None
    found: object = json.loads(stored)
    if not isinstance(found, dict):
        raise ValueError("no mapping")
    kinds: dict[str, frozenset[ValueKind]] = {}
    for key, names in cast("dict[str, Any]", found).items():
        if not isinstance(names, list) or any(name not in _NAMES for name in names):
            raise ValueError("no kinds")
        kinds[key] = frozenset(names)
    return kinds


def known_kinds(
    kinds: Kinds | None, indexes: Mapping[str, MetadataKind], key: str
) -> frozenset[ValueKind] | None:
    """Return the kinds of a key, empty if no document has it, or None if that is unknown.

    Args:
        indexes: as in `RAG_METADATA_INDEXES`. Such a key is known, even if no document has it now.
    """
    declared = frozenset((_OF_INDEX[indexes[key]],)) if key in indexes else frozenset[ValueKind]()
    if kinds is None or (KEYS_LEFT_OUT in kinds and key not in kinds):
        return declared or None
    return kinds.get(key, frozenset()) | declared
