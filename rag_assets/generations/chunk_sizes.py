"""The sizes of all chunks of a generation: in classes, and in total. Kept in the manifest, and carried from generation to generation."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Self, cast

NUM_CLASSES = 8
_TOKENS = "tokens"


class ChunkSizes:
    """Chunks by size.

    Args:
        chunk_size: maximum tokens of a chunk, divided into eight classes.

    Attributes:
        num_tokens: of all chunks, None if an earlier version counted the classes only.
    """

    def __init__(self, chunk_size: int) -> None:
        self._width = -(-chunk_size // NUM_CLASSES)
        self._classes: Counter[int] = Counter()
        self.num_tokens: int | None = 0

    def add(self, token_counts: Iterable[int]) -> None:
        counts = list(token_counts)
        self._classes.update(map(self._class_of, counts))
        if self.num_tokens is not None:
            self.num_tokens += sum(counts)

    def remove(self, token_counts: Iterable[int]) -> None:
        counts = list(token_counts)
        self._classes.subtract(map(self._class_of, counts))
        if self.num_tokens is not None:
            self.num_tokens -= sum(counts)

    def by_class(self) -> dict[str, int]:
        """Return for example `{"1 to 64": 12}`, in the order of the sizes, without empty classes."""
        width = self._width
        return {
            f"{number * width + 1} to {(number + 1) * width}": self._classes[number]
            for number in sorted(self._classes)
            if self._classes[number]
        }

    def to_text(self) -> str:
        """Return the counts for a manifest."""
        classes = {str(number): count for number, count in sorted(self._classes.items()) if count}
        return json.dumps(classes if self.num_tokens is None else classes | {_TOKENS: self.num_tokens})

    @classmethod
    def from_text(cls, stored: str, chunk_size: int) -> Self | None:
        """Read the counts of a manifest. None if an earlier version wrote it, or they cannot be read."""
        try:
            found: object = json.loads(stored)
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        sizes = cls(chunk_size)
        sizes.num_tokens = None
        for number, count in cast("dict[str, object]", found).items():
            if not (number.isdecimal() or number == _TOKENS) or type(count) is not int or count < 0:
                return None
            if number == _TOKENS:
                sizes.num_tokens = count
            else:
                sizes._classes[int(number)] = count
        return sizes

    def _class_of(self, tokens: int) -> int:
        return (max(tokens, 1) - 1) // self._width
