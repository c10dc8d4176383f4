"""Sections of a text as chunks: a chunk begins at a heading and ends at the next subject.

A section reaches from a heading to the next one of any level. The text before the first heading is a section too. A
section of more than `size` tokens is cut into token windows. A section of fewer than `size // TINY_SHARE` tokens is tiny:
a title and a sentence or two say little to an embedding model, and BM25 ranks short texts high. It joins a related
neighbor, if there is one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from rag_assets.chunkers.token_window import Passage, token_windows
from rag_assets.records import ChunkSpan
from rag_assets.text.headings import headings
from rag_assets.text.tokenizers import Tokenizer

TINY_SHARE = 4
"""A quarter: the share of a window that `token_window` gives up for a good end. Measured in `docs/chunkers.md`."""


class SectionChunker:
    """Chunks along the headings of a text. A text without headings is cut as by `token_window`.

    First, a tiny section joins its own first subsection. Then, among neighbors under one parent (each with its
    subsections), a tiny one joins the chunk before it, and a chunk still tiny takes the next one. Joined sections fit
    into `size` together. The exception is a tiny section before a subsection too long for one chunk. A section within
    `size` is never cut, and no overlap reaches from one section into another.
    """

    name = "section"
    version = "1"

    def __init__(self, tokenizer: Tokenizer, size: int = 512, overlap: int = 50) -> None:
        self.tokenizer = tokenizer
        self.size = size
        self.overlap = overlap

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        """Return the spans of each text."""
        groups: list[_Group] = []
        num_groups: list[int] = []
        for text, starts in zip(texts, self.tokenizer.token_starts(texts), strict=True):
            sections = _sections(Passage(text, starts, headings(text), 0, len(text)))
            of_text = _joined(_joined(([section] for section in sections), self._leads_in), self._belongs)
            groups += of_text
            num_groups.append(len(of_text))
        spans = iter(self._cut(groups))
        return [[span for part in islice(spans, number) for span in part] for number in num_groups]

    def _leads_in(self, group: "_Group", following: "_Group") -> bool:
        below = following[0].depth > group[-1].depth
        cut_anyway = _num_tokens(following) > self.size
        return below and self._is_tiny(group) and (cut_anyway or self._fit(group, following))

    def _belongs(self, group: "_Group", following: "_Group") -> bool:
        # Within one parent, no depth is less than that of the first section.
        related = following[0].depth >= group[0].depth
        tiny = self._is_tiny(group) or self._is_tiny(following)
        return related and tiny and self._fit(group, following)

    def _is_tiny(self, group: "_Group") -> bool:
        return _num_tokens(group) < self.size // TINY_SHARE

    def _fit(self, group: "_Group", following: "_Group") -> bool:
        return following[-1].end_token - group[0].first_token <= self.size

    def _cut(self, groups: "list[_Group]") -> list[list[ChunkSpan]]:
        """Return the chunks of each group, a single one if it fits."""
        cut = self._windows(groups)
        # Cut out, a group may have a few tokens more than inside the text. If it is too long, each of its sections
        # becomes a chunk.
        too_long = [
            number
            for number, (group, spans) in enumerate(zip(groups, cut, strict=True))
            if len(spans) > 1 < len(group) and _num_tokens(group) <= self.size
        ]
        alone = iter(self._windows([[section] for number in too_long for section in groups[number]]))
        for number in too_long:
            cut[number] = [span for spans in islice(alone, len(groups[number])) for span in spans]
        return cut

    def _windows(self, groups: "list[_Group]") -> list[list[ChunkSpan]]:
        passages = [replace(group[0].passage, end=group[-1].passage.end) for group in groups]
        return token_windows(passages, self.tokenizer, self.size, self.overlap)


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with the text below it, or the text before the first heading.

    Attributes:
        first_token, end_token: its tokens among those of the text.
        depth: number of titles in the path of its heading, 0 before the first heading.
    """

    passage: Passage
    first_token: int
    end_token: int
    depth: int


_Group = list[_Section]
"""Adjacent sections."""


def _num_tokens(group: _Group) -> int:
    return group[-1].end_token - group[0].first_token


def _sections(whole: Passage) -> list[_Section]:
    """Return the sections of a text, without gaps."""
    begins = [(heading.start, len(heading.path)) for heading in whole.headings]
    if not begins or begins[0][0] > 0:
        begins.insert(0, (0, 0))
    bounds = [*(start for start, _ in begins), whole.end]
    tokens = whole.starts.searchsorted(bounds).tolist()
    return [
        _Section(replace(whole, start=start, end=end), first_token, end_token, depth)
        for (start, end), (first_token, end_token), (_, depth) in zip(
            pairwise(bounds), pairwise(tokens), begins, strict=True
        )
    ]


def _joined(groups: Iterable[_Group], belong_together: Callable[[_Group, _Group], bool]) -> list[_Group]:
    joined: list[_Group] = []
    for group in groups:
        if joined and belong_together(joined[-1], group):
            joined[-1] += group
        else:
            joined.append(group)
    return joined
