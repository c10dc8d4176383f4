"""Windows of tokens with ends at natural pauses, each repeating the end of the previous one.

The tokens of a slice can differ from its tokens inside the whole text: a cut splits a token, and the first word loses
the space it was fused with. So the whole text is tokenized once to plan the windows, and every planned slice is
tokenized again to enforce the size. Plans run ahead, to count slices in batches. After a slice beyond its size, the plan
starts again from there.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rag_assets.records import ChunkSpan
from rag_assets.text.headings import Heading, heading_path_at, headings
from rag_assets.text.tokenizers import Tokenizer

# Scripts written without spaces: any place between two of their characters is the start of a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD_START = re.compile(rf"(?<=\s)(?=\S)|(?<=[{_UNSPACED}、，。！？])(?=[{_UNSPACED}\w])")
# One full stop, not a run of them: a run of dots would be scanned once from each of its dots.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]»]*\s+|[。！？｡][」』）】》〉”’\"')\]]*\s*")

_PLANNED_AHEAD = 32


class TokenWindowChunker:
    """Chunks of at most `size` tokens, sharing about `overlap` tokens with the previous one.

    A chunk ends within the last quarter of its window: before a heading, else after a paragraph, a sentence, a line, a
    word, or at least between two tokens. The next one starts `overlap` tokens earlier, or at the next word from there.
    """

    name = "token_window"
    version = "1"

    def __init__(self, tokenizer: Tokenizer, size: int = 512, overlap: int = 50) -> None:
        self.tokenizer = tokenizer
        self.size = size
        self.overlap = overlap

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        """Return the spans of each text."""
        passages = [
            Passage(text, starts, headings(text), 0, len(text))
            for text, starts in zip(texts, self.tokenizer.token_starts(texts), strict=True)
        ]
        return token_windows(passages, self.tokenizer, self.size, self.overlap)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a text, cut independently.

    Attributes:
        text: the whole text.
        starts: character offset of each token of the whole text.
        headings: of the whole text.
        start, end: the part.
    """

    text: str
    starts: npt.NDArray[np.int64]
    headings: list[Heading]
    start: int
    end: int


def token_windows(
    passages: Sequence[Passage], tokenizer: Tokenizer, size: int, overlap: int
) -> list[list[ChunkSpan]]:
    """Return the spans of each passage, as positions in its text. No window leaves its passage."""
    plans = [_Plan(passage, size, overlap) for passage in passages]
    unfinished = plans
    while unfinished := [plan for plan in unfinished if not plan.finished]:
        slices: list[str] = []
        for plan in unfinished:
            slices += plan.proposed_slices()
        counts = iter(tokenizer.count(slices))
        for plan in unfinished:
            plan.accept([(next(counts), next(counts)) for _ in plan.proposals])
    return [plan.spans for plan in plans]


@dataclass(frozen=True, slots=True)
class _Window:
    """A planned chunk, not yet counted.

    Attributes:
        shared_until: end of the previous chunk. The two share `text[start:shared_until]`.
        shared_limit, limit: planned number of tokens in the shared text, and in the whole window.
    """

    start: int
    end: int
    shared_until: int
    shared_limit: int
    limit: int


@dataclass(slots=True)
class _Plan:
    """The chunks of one passage: the settled ones, and the next proposals."""

    passage: Passage
    size: int
    overlap: int
    spans: list[ChunkSpan] = field(default_factory=list)
    proposals: list[_Window] = field(default_factory=list)
    _next: _Window | None = None
    _ahead: int = _PLANNED_AHEAD
    # Number of tokens by which a slice of this text was longer than planned. Usually many slices are (a tokenizer
    # with a marker before each text adds one to nearly all of them), so plan for it.
    _excess: int = 0
    _shared_excess: int = 0

    def __post_init__(self) -> None:
        if self.passage.start < self.passage.end:
            self._next = self._window(self.passage.start, self.passage.start, self.overlap, self.size)

    @property
    def finished(self) -> bool:
        return self._next is None

    def proposed_slices(self) -> list[str]:
        """Plan ahead, and return two slices per window to count: the text shared with the previous one, and all."""
        self.proposals = []
        window = self._next
        while window is not None and len(self.proposals) < self._ahead:
            self.proposals.append(window)
            window = self._after(window)
        slices: list[str] = []
        for planned in self.proposals:
            slices.append(self.passage.text[planned.start : planned.shared_until])
            slices.append(self.passage.text[planned.start : planned.end])
        return slices

    def accept(self, counts: list[tuple[int, int]]) -> None:
        """Settle the proposals up to the first one beyond its size, and correct this one."""
        for number, (window, (shared_tokens, tokens)) in enumerate(zip(self.proposals, counts, strict=True)):
            corrected = self._corrected(window, shared_tokens, tokens)
            if corrected is not None:
                self._next = corrected
                self._ahead = max(1, min(2 * number, _PLANNED_AHEAD))
                return
            path = heading_path_at(self.passage.headings, window.start)
            self.spans.append(ChunkSpan(window.start, window.end, tokens, path))
        self._next = self._after(self.proposals[-1])
        self._ahead = min(2 * self._ahead, _PLANNED_AHEAD)

    def _corrected(self, window: _Window, shared_tokens: int, tokens: int) -> _Window | None:
        """Return a smaller window if this one is too long, else None."""
        before = window.shared_until
        if window.start < before and shared_tokens > self.overlap:
            excess = shared_tokens - self.overlap
            self._shared_excess = min(max(excess, self._shared_excess), self.overlap // 16)
            shared_limit = window.shared_limit - excess
            start = max(self._start(before, shared_limit), window.start)
            return self._window(start, before, shared_limit, self.size)
        if tokens <= self.size or window.end - window.start == 1:
            return None
        planned = int(self.passage.starts.searchsorted(window.end)) - self._token_at(window.start)
        excess = tokens - self.size
        self._excess = min(max(excess, self._excess), self.size // 16)
        limit = min(window.limit, planned) - excess
        return self._window(window.start, before, window.shared_limit, limit if limit > 0 else planned // 2)

    def _after(self, window: _Window) -> _Window | None:
        if window.end == self.passage.end:
            return None
        shared_limit = self.overlap - self._shared_excess
        start = max(self._start(window.end, shared_limit), window.start + 1)
        return self._window(start, window.end, shared_limit, self.size - self._excess)

    def _window(self, start: int, before: int, shared_limit: int, limit: int) -> _Window:
        end = self._end(start, before, limit)
        if end <= before and start < before:
            # Everything that fits was in the last chunk: begin behind it, to make progress.
            return self._window(before, before, 0, self.size)
        return _Window(start, end, before, shared_limit, limit)

    def _token_at(self, position: int) -> int:
        """Return the first token starting at the position, else the token across it."""
        starts = self.passage.starts
        index = int(starts.searchsorted(position))
        if index < len(starts) and int(starts[index]) == position:
            return index
        return max(index - 1, 0)

    def _end(self, start: int, before: int, limit: int) -> int:
        """Return the best end for a window of `limit` tokens from `start`, after `before` if possible."""
        starts = self.passage.starts
        first = self._token_at(start)
        if limit > 0 and first + limit >= int(starts.searchsorted(self.passage.end)):
            return self.passage.end
        if limit <= 0:
            return start + 1
        high = max(int(starts[first + limit]), start + 1)
        low = max(int(starts[first + limit - limit // 4]), start + 1, before + 1)
        if low >= high:
            return high
        return self._pause(low, high)

    def _pause(self, low: int, high: int) -> int:
        """Return the best place to end in `[low, high]`, `high` if all are alike."""
        text, found = self.passage.text, self.passage.headings
        index = bisect_right(found, high, key=lambda heading: heading.start) - 1
        if index >= 0 and found[index].start >= low:
            return found[index].start
        paragraph = text.rfind("\n\n", max(low - 2, 0), high)
        if paragraph >= 0:
            return paragraph + 2
        # The search starts a little earlier: a pause just before `low` may end after it.
        best = 0
        for match in _SENTENCE_END.finditer(text, max(low - 8, 0), high):
            best = match.end()
        if best >= low:
            return best
        line = text.rfind("\n", low - 1, high)
        if line >= 0:
            return line + 1
        for match in _WORD_START.finditer(text, low, high + 1):
            if match.start() <= high:
                best = match.start()
        return best if best >= low else high

    def _start(self, end: int, shared_limit: int) -> int:
        """Return the start of a chunk sharing at most about `shared_limit` tokens before `end`."""
        if shared_limit <= 0:
            return end
        starts = self.passage.starts
        first = int(starts.searchsorted(end)) - shared_limit
        start = int(starts[first]) if first > 0 else 0
        word = _WORD_START.search(self.passage.text, start, end)
        return word.start() if word is not None else start
