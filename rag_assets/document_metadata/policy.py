"""The metadata of one location: what the source and the document say, as the settings want it.

The ledger keeps what was said, so a change of the settings needs no document to be read again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal, get_args

from rag_assets.document_metadata.normalization import (
    MAX_BYTES,
    MAX_KEYS,
    bounded_left_out,
    is_date,
    normalized_key,
    normalized_number,
    normalized_pattern,
    size_bytes,
)
from rag_assets.document_metadata.sensitive import is_personal_key, is_personal_value
from rag_assets.document_metadata.values import NO_METADATA, Metadata, MetadataValue

MetadataKind = Literal["keyword", "integer", "float", "datetime", "bool"]
"""Kind of a key with an index, as in Qdrant."""
MetadataIndexes = Mapping[str, MetadataKind]
"""Metadata key -> kind of its index."""
KINDS: tuple[MetadataKind, ...] = get_args(MetadataKind)
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class MetadataPolicy:
    """The settings for metadata.

    Attributes:
        kinds: key -> kind, for the keys with an index. Their values are converted to this kind, or left out.
        keep: personal keys that are kept.
        leave_out: patterns of keys that are left out, such as `internal_*`.
    """

    kinds: MetadataIndexes = field(default_factory=dict[str, MetadataKind])
    keep: frozenset[str] = frozenset()
    leave_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, indexes: Iterable[str], keep: Iterable[str] = (), leave_out: Iterable[str] = ()
    ) -> "MetadataPolicy":
        """Return the policy of the settings.

        Args:
            indexes: as in `RAG_METADATA_INDEXES`, such as `year:integer`.

        Raises:
            ValueError: a key or a kind is not valid.
        """
        kinds: dict[str, MetadataKind] = {}
        for entry in indexes:
            key, _, word = (part.strip() for part in entry.partition(":"))
            name = normalized_key(key)
            kind: MetadataKind | None = next((kind for kind in KINDS if kind == word), None)
            if name is None or kind is None:
                raise ValueError(f"{entry!r} is not KEY:KIND with one of the kinds {', '.join(KINDS)}")
            if kinds.setdefault(name, kind) != kind:
                raise ValueError(f"{name} has two kinds: {kinds[name]} and {kind}")
        kept = frozenset(filter(None, map(normalized_key, keep)))
        return cls(kinds, kept, tuple(map(normalized_pattern, leave_out)))

    def merged(self, *sayings: Metadata) -> Metadata:
        """Return the metadata of a location.

        Args:
            sayings: of the listing, of the reading and of the document. For one key the first value counts: the source
                wins over the document.
        """
        if not any(said.pairs or said.left_out for said in sayings):
            return NO_METADATA
        said: dict[str, MetadataValue] = {}
        for saying in sayings:
            for key, value in saying.pairs:
                said.setdefault(key, value)
        left_out = [entry for saying in sayings for entry in saying.left_out]
        found: dict[str, MetadataValue] = {}
        room = MAX_BYTES
        # Keys with an index come first, so that the limits never cost one of them.
        for key in sorted(said, key=lambda key: key not in self.kinds):
            value, problem = self._as_wanted(key, said[key])
            if value is not None:
                size = size_bytes(key, value)
                if len(found) >= MAX_KEYS or size > room:
                    problem = "too many keys" if len(found) >= MAX_KEYS else f"no room: {key}"
                else:
                    found[key] = value
                    room -= size
            if problem:
                left_out.append(problem)
        return Metadata.of(found, bounded_left_out(left_out))

    def unseen_keys(self, metadata_keys: Iterable[str]) -> list[str]:
        """Return a sentence for each key to keep that no document has.

        Args:
            metadata_keys: of all documents, also the keys left out.
        """
        known = set(metadata_keys)
        found: list[str] = []
        for key in sorted(self.keep - known):
            close = get_close_matches(key, known, 1)
            advice = f"did you mean {close[0]}?" if close else "check its spelling"
            found.append(f"RAG_METADATA_KEEP names {key}, but no document has this key: {advice}")
        return found

    def _as_wanted(self, key: str, value: MetadataValue) -> tuple[MetadataValue | None, str]:
        if any(fnmatchcase(key, pattern) for pattern in self.leave_out):
            return None, f"RAG_METADATA_LEAVE_OUT: {key}"
        if key not in self.keep:
            if is_personal_key(key):
                return None, f"personal: {key}"
            kept = _without_personal(value)
            if kept != value:
                return kept, f"personal: {key}"
        kind = self.kinds.get(key)
        if kind is None:
            return value, ""
        converted = _converted(value, kind)
        return converted, "" if converted is not None else f"no {kind}: {key}"


def _without_personal(value: MetadataValue) -> MetadataValue | None:
    if isinstance(value, str):
        return None if is_personal_value(value) else value
    if isinstance(value, tuple):
        return tuple(text for text in value if not is_personal_value(text)) or None
    return value


def _converted(value: MetadataValue, kind: MetadataKind) -> MetadataValue | None:
    """Return a value as one of this kind, or None if it is none."""
    if isinstance(value, tuple):
        if kind == "keyword":
            return value
        if len(value) != 1:
            return None
        value = value[0]
    match kind:
        case "keyword":
            return value if isinstance(value, str) else str(value).lower()
        case "datetime":
            return value if is_date(value) else None
        case "bool":
            return value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())
        case "integer":
            number = _number(value)
            return number if isinstance(number, int) else None
        case "float":
            return _number(value)


def _number(value: str | float | bool) -> int | float | None:
    if isinstance(value, bool):
        return None
    try:
        # `float` also reads `1_000`, `infinity` and digits of other scripts.
        if isinstance(value, str) and not (value.isascii() and "_" not in value):
            return None
        return normalized_number(float(value))
    except ValueError:
        return None
