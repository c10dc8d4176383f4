"""The passage of a chunk with most words of a question, and its words in bold.

A word counts as one of the question if BM25 takes it for one: `leaves` for `leave`, but no stop word.
"""

import re
from collections.abc import Iterator

from rag_assets.cli.terminal import Bold
from rag_assets.embedders.bm25 import Bm25Encoder

_SNIPPET_CHARACTERS = 300
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?:] |[。！？]")
_HEADING_MARK = re.compile(r"^#{1,6} +", re.MULTILINE)


class QuestionWords:
    """The words of one question, for marking them in texts."""

    def __init__(self, question: str) -> None:
        self._encoder = Bm25Encoder()
        self._asked = self._indices(question)

    def snippet(self, text: str) -> str:
        """Return the passage with most words of the question, in one line, with `…` where it is cut."""
        text = " ".join(_HEADING_MARK.sub("", text).split())
        found = [
            (word.start(), number, index)
            for number, word in enumerate(_WORD.finditer(text))
            for index in self._matching(word[0])
        ]
        starts = [0, *(match.end() for match in _SENTENCE_END.finditer(text))]

        def rank(start: int) -> tuple[int, int, int]:
            """Return the number of different words, of neighbors, and of all words of the question."""
            inside = [one for one in found if start <= one[0] < start + _SNIPPET_CHARACTERS]
            numbers = {number for _, number, _ in inside}
            neighbors = sum(number + 1 in numbers for number in numbers)
            return len({index for *_, index in inside}), neighbors, len(inside)

        # The last of the best starts, to show the words of the question near the beginning.
        start = max(reversed(starts), key=rank)
        end = start + _SNIPPET_CHARACTERS
        if end < len(text):
            end = text.rfind(" ", start, end) + 1 or end
        return f"{'… ' if start else ''}{text[start:end].strip()}{' …' if end < len(text) else ''}"

    def marked(self, line: str) -> Iterator[str]:
        """Yield the parts of a line, words of the question as `Bold`."""
        done = 0
        for start, end in self._places(line):
            yield line[done:start]
            yield Bold(line[start:end])
            done = end
        yield line[done:]

    def _places(self, line: str) -> Iterator[tuple[int, int]]:
        for word in _WORD.finditer(line):
            indices = self._indices(word[0])
            if len(indices) == 1 and indices <= self._asked:
                yield word.span()
            elif len(indices) > 1:
                yield from self._pairs(word)

    def _pairs(self, word: re.Match[str]) -> Iterator[tuple[int, int]]:
        """Yield the marked parts of a word in a script without spaces, compared by pairs of its letters."""
        start = end = -1
        for at in range(word.start(), word.end() - 1):
            if self._matching(word.string[at : at + 2]):
                if at > end:
                    if end > start:
                        yield start, end
                    start = at
                end = at + 2
        if end > start:
            yield start, end

    def _matching(self, word: str) -> frozenset[int]:
        return self._indices(word) & self._asked

    def _indices(self, text: str) -> frozenset[int]:
        return frozenset(self._encoder.encode_query(text).indices)
