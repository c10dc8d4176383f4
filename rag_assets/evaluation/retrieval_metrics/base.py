"""What every retrieval metric offers: a number, 0 to 1, for the answer to one question.

Binary relevance over distinct documents; see Manning, Raghavan and Schütze, "Introduction to Information
Retrieval", 2008, chapter 8. Checked against trec_eval's definitions.
"""

from collections.abc import Hashable, Sequence, Set
from typing import Protocol


class Metric(Protocol):
    """Judges one answer; the mean over all questions is the score of a generation."""

    def __call__(self, ranked: Sequence[Hashable], relevant: Set[Hashable], /) -> float:
        """Return the value, 0 to 1, more is better.

        Args:
            ranked: distinct documents, best first.
            relevant: those judged relevant, not empty.
        """
        ...
