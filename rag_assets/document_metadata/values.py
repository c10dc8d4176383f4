"""The metadata of a document as a record: flat, typed, immutable. Imports nothing of the package."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MetadataValue = str | int | float | bool | tuple[str, ...]
"""A text, a number, a boolean, or a list of texts. A date is a text of one form, `2026-01-31T12:00:00Z`."""


@dataclass(frozen=True, slots=True, eq=False)
class Metadata(Mapping[str, MetadataValue]):
    """Metadata of one document, from `normalized` in `rag_assets.document_metadata.normalization`.

    Attributes:
        pairs: keys and values, sorted by key.
        left_out: what was cut or left out, such as `secret: api_key`. Not compared.
        unread: keys that could not be read this time. Their values in production stay. Not compared.
    """

    pairs: tuple[tuple[str, MetadataValue], ...] = ()
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    _by_key: dict[str, MetadataValue] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_key", dict(self.pairs))

    @classmethod
    def of(cls, values: Mapping[str, MetadataValue], left_out: tuple[str, ...] = ()) -> "Metadata":
        """Return normalized values as metadata, sorted by key."""
        return cls(tuple(sorted(values.items())), left_out) if values or left_out else NO_METADATA

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "Metadata":
        """Read the values of `to_json`, from a payload or the ledger."""
        if not stored:
            return NO_METADATA
        return cls.of({key: tuple(it) if isinstance(it, list) else it for key, it in stored.items()})

    def without(self, key: str, why: str) -> "Metadata":
        """Return the metadata with a key that could not be read.

        Args:
            why: a few words for people, such as `HTTP 403`.
        """
        return replace(
            self, left_out=(*self.left_out, f"not readable: {key} ({why})"), unread=(*self.unread, key)
        )

    @property
    def keys_said(self) -> set[str]:
        """The keys of the source and the document, also those left out."""
        return {*self._by_key, *(entry.partition(": ")[2].partition(" ")[0] for entry in self.left_out)}

    def to_json(self) -> dict[str, Any]:
        """Return the values for a payload."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.pairs}

    def __getitem__(self, key: str) -> MetadataValue:
        return self._by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __eq__(self, other: object) -> bool:
        # In Python 1 == True, but a payload tells them apart.
        return (
            isinstance(other, Metadata)
            and self.pairs == other.pairs
            and all(type(mine) is type(other[key]) for key, mine in self.pairs)
        )

    def __hash__(self) -> int:
        return hash(self.pairs)


NO_METADATA = Metadata()
