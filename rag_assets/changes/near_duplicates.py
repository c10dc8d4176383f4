"""Contents that say nearly the same: MinHash over their words, and groups of those that are similar.

Each text becomes a signature of fixed size, from which the Jaccard similarity of two texts' shingles is estimated (with a
standard error of 0.03 at 0.9). Shingles are three words in a row, in lower case and without punctuation: layout does not
count, order does, and one word that changes costs three shingles at most, so that 0.9 admits about two changed words in a
page of 150. A script without spaces gives one word a character. A text of fewer than three words is one shingle, as a
whole: so short, only the same words are similar.

A group is whatever is linked by pairs at or above the threshold; it does not depend on the order of the contents. What
becomes of a group is decided in `rag_assets.changes.omission`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rag_assets.batches import batched
from rag_assets.fingerprint import short_hash
from rag_assets.progress import Progress

THRESHOLD = 0.9
"""Least estimated similarity of two contents that say nearly the same."""
Signatures = npt.NDArray[np.uint32]
"""Signatures of MinHash, uint32, shape (n, `NUM_SLOTS`)."""

NUM_SLOTS = 128
_SEED = 1
_SHINGLE_WORDS = 3
_SLOTS_IN_BAND = 8
"""Only pairs that agree in one of the 16 bands are compared. Those above 0.875 differ in fewer than 16 slots: none is missed."""
_VERSION = "1"  # of everything above
_BATCH = 1000
_SHINGLES_AT_ONCE = 10_000

# Thai, Lao, Burmese, Khmer; Japanese and Chinese. Korean has spaces.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_SPACELESS}]|[^\\W{_SPACELESS}]+")


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Contents that say nearly the same.

    Attributes:
        contents: their hashes, two or more, sorted.
        similarity: estimated, of the first and the one least like it.
    """

    contents: tuple[str, ...]
    similarity: float


class SignatureCache(Protocol):
    """Remembers signatures by key; a ledger is one. What it forgets costs time and nothing else."""

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]: ...

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None: ...


def comparison_id() -> dict[str, Any]:
    """Return what groups depend on besides the texts."""
    return {"version": _VERSION, "rensa": _min_hash().ALGORITHM_VERSION, "threshold": THRESHOLD}


def _min_hash() -> Any:
    import rensa

    return rensa.RMinHash  # pyright: ignore[reportAttributeAccessIssue] - the wheel tells no types


def shingles(text: str) -> Iterator[str]:
    """Yield the shingles of a text, repeated ones too; at least one."""
    words = _WORD.findall(text.lower())
    if len(words) < _SHINGLE_WORDS:
        yield " ".join(words) if words else text  # of signs alone: the same signs
        return
    yield from map(" ".join, zip(*(words[start:] for start in range(_SHINGLE_WORDS)), strict=False))


def signature_of(text: str) -> bytes:
    """Return the signature of a text, uint32 in little endian."""
    sketch = _min_hash()(NUM_SLOTS, _SEED)
    for some in batched(shingles(text), _SHINGLES_AT_ONCE):
        sketch.update(some)
    return np.array(sketch.digest(), dtype="<u4").tobytes()


def signatures_of(
    contents: Sequence[str], text_of: Callable[[str], str | None], cache: SignatureCache
) -> tuple[list[str], Signatures]:
    """Return the signatures of contents; of those without a cached one the text is read, one at a time.

    Args:
        text_of: returns the text of a content, None if it is lost.

    Returns:
        The contents whose text is not lost, and their signatures in the same order.
    """
    how = short_hash(comparison_id())
    known: list[str] = []
    rows: list[bytes] = []
    progress = Progress("texts compared", len(contents))
    for batch in batched(contents, _BATCH):
        keys = {content: sha256(f"{how}/{content}".encode()).digest() for content in batch}
        found = cache.signatures(list(keys.values()))
        made: dict[bytes, bytes] = {}
        for content, key in keys.items():
            signature = found.get(key, b"")
            if len(signature) != 4 * NUM_SLOTS:
                text = text_of(content)
                if text is None:
                    continue
                signature = made[key] = signature_of(text)
            known.append(content)
            rows.append(signature)
        if made:
            cache.put_signatures(made)
        progress.advance(len(batch))
    flat = np.frombuffer(b"".join(rows), dtype="<u4").astype(np.uint32)
    return known, flat.reshape(-1, NUM_SLOTS)


def find_groups(
    contents: Sequence[str], signatures: Signatures, threshold: float = THRESHOLD
) -> list[NearDuplicates]:
    """Group what is similar.

    Args:
        contents: their hashes, each once, in any order.
        signatures: in the same order.
        threshold: least estimated similarity of a pair; below 0.875 some pairs are missed.

    Returns:
        The groups of two or more, by their first content.
    """
    components = _Components(len(contents))
    for band in range(0, NUM_SLOTS, _SLOTS_IN_BAND):
        for rows in _alike(signatures[:, band : band + _SLOTS_IN_BAND]):
            _link(rows, signatures, threshold, components)
    groups: list[NearDuplicates] = []
    for rows in components.of_several():
        rows.sort(key=contents.__getitem__)
        first, *others = rows
        lowest = float(_similarity(signatures[first], signatures[others]).min())
        groups.append(NearDuplicates(tuple(contents[row] for row in rows), round(lowest, 3)))
    return sorted(groups, key=lambda group: group.contents)


def _similarity(one: Signatures, others: Signatures) -> npt.NDArray[np.float64]:
    return (others == one).mean(axis=1)


def _alike(band: Signatures) -> Iterator[npt.NDArray[np.intp]]:
    """Yield rows that agree in a whole band, two or more at a time."""
    keys = np.ascontiguousarray(band).view(f"V{band.shape[1] * band.itemsize}").ravel()
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for rows in np.split(order, begins):
        if len(rows) > 1:
            yield rows


def _link(
    rows: npt.NDArray[np.intp], signatures: Signatures, threshold: float, components: "_Components"
) -> None:
    for position, row in enumerate(rows):
        labels = components.labels[rows]
        if (labels == labels[0]).all():
            return  # a thousand copies of one page are linked in one round
        apart = rows[position + 1 :]
        apart = apart[components.labels[apart] != components.labels[row]]
        for other in apart[_similarity(signatures[row], signatures[apart]) >= threshold]:
            components.join(int(row), int(other))


class _Components:
    """Which rows are linked, by whatever way.

    Attributes:
        labels: the same for rows that are linked.
    """

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count)
        self._members: dict[int, list[int]] = defaultdict(list)

    def join(self, one: int, other: int) -> None:
        kept, gone = int(self.labels[one]), int(self.labels[other])
        if kept == gone:
            return
        members = {label: self._members.pop(label, [label]) for label in (kept, gone)}
        if len(members[kept]) < len(members[gone]):
            kept, gone = gone, kept
        self.labels[members[gone]] = kept
        self._members[kept] = members[kept] + members[gone]

    def of_several(self) -> list[list[int]]:
        return list(self._members.values())
