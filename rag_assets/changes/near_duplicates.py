"""Near duplicates: MinHash over the words of contents, and groups of similar contents.

Each text becomes a signature of fixed size. Two signatures give an estimate of the Jaccard similarity of the shingles of
two texts, with a standard error of 0.03 at 0.9. A shingle is three consecutive words, in lower case and without
punctuation. Layout does not count, but order does. One changed word costs at most three shingles, so a threshold of 0.9
allows about two changed words in a page of 150. In a script without spaces every character is a word. A text of fewer than
three words is a single shingle, so only the same words are similar to it.

Pairs at or above the threshold link contents, and linked contents are a group, independent of the order of the contents.
`rag_assets.changes.omission` decides about the documents of a group.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rag_assets.backports import batched
from rag_assets.fingerprint import short_hash
from rag_assets.progress import Progress

THRESHOLD = 0.9
"""Minimum estimated similarity of two near duplicates."""
Signatures = npt.NDArray[np.uint32]
"""Signatures of MinHash, uint32, shape (n, `NUM_SLOTS`)."""

NUM_SLOTS = 128
_SEED = 1
_SHINGLE_WORDS = 3
_SLOTS_IN_BAND = 8
"""Only pairs with an equal band, of 16, are compared. Pairs above 0.875 differ in fewer than 16 slots, so none is missed."""
_VERSION = "1"  # of everything above
_BATCH = 1000
_SHINGLES_AT_ONCE = 10_000

# Thai, Lao, Burmese, Khmer; Japanese and Chinese. Korean has spaces.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_SPACELESS}]|[^\\W{_SPACELESS}]+")


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """A group of near duplicates.

    Attributes:
        contents: two or more content hashes, sorted.
        similarity: estimate for the first content and the one least like it.
    """

    contents: tuple[str, ...]
    similarity: float


class SignatureCache(Protocol):
    """A cache of signatures by key, for example a ledger. A forgotten signature costs time and nothing else."""

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]: ...

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None: ...


def comparison_id() -> dict[str, Any]:
    """Return everything except the texts on which groups depend: versions and threshold."""
    return {"version": _VERSION, "rensa": _min_hash().ALGORITHM_VERSION, "threshold": THRESHOLD}


def _min_hash() -> Any:
    import rensa

    return rensa.RMinHash  # pyright: ignore[reportAttributeAccessIssue] - the wheel has no type information


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def shingles(text: str) -> Iterator[str]:
    """Yield the shingles of a text, at least one, including repeated ones."""
    words = words_of(text)
    if len(words) < _SHINGLE_WORDS:
        yield " ".join(words) if words else text  # only signs: the text itself
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
    """Return the signatures of contents, reading the text of each content without a cached signature, one at a time.

    Args:
        text_of: returns the text of a content, None if it is lost.

    Returns:
        The contents with a text, and their signatures in the same order.
    """
    how = short_hash(comparison_id())
    known: list[str] = []
    rows: list[bytes] = []
    progress = Progress("texts compared", len(contents))
    for batch in batched(contents, _BATCH):
        keys = {content: _signature_key(how, content) for content in batch}
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


def signature_keys(contents: Iterable[str]) -> list[bytes]:
    """Return the keys of the cached signatures of contents."""
    how = short_hash(comparison_id())
    return [_signature_key(how, content) for content in contents]


def _signature_key(how: str, content: str) -> bytes:
    return sha256(f"{how}/{content}".encode()).digest()


def find_groups(
    contents: Sequence[str], signatures: Signatures, threshold: float = THRESHOLD
) -> list[NearDuplicates]:
    """Group similar contents.

    Args:
        contents: content hashes, each once, in any order.
        signatures: in the same order.
        threshold: minimum estimated similarity of a pair. Below 0.875 some pairs are missed.

    Returns:
        Groups of two or more, sorted by their first content.
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
    """Yield groups of two or more rows with the same band."""
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
    """Sets of rows linked directly or through other rows.

    Attributes:
        labels: one per row, equal for linked rows.
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
