"""Texts sent in requests that an endpoint accepts.

A request is refused for one of three reasons: the number of its texts, one of its texts, or the endpoint itself. Halves
tell the number from a text. A text known to be good tells a text from the endpoint. The transport below, an
`Embedder`, sends one request at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag_assets.embedders.base import EmbeddedBatch, Embedder, LearnsHabits
from rag_assets.errors import RequestFailed, RequestRefused
from rag_assets.latencies import Latencies

REFUSALS = (RequestRefused, RequestFailed)
"""Errors of a request that one of its texts, or their number, may have caused."""

_MOST_REFUSED_AT_FIRST = 50
"""Refused texts before the first accepted one. After them the endpoint or the chunk size is at fault."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of one text by a model whose endpoint accepts others."""

    error: RequestRefused | RequestFailed

    def says(self, model: str) -> str:
        """Return the predicate of a sentence about the text."""
        if self.error.too_long:
            return f"is too long for the model {model}: longer than it accepts (status {self.error.status})"
        return f"was refused by the model {model} (status {self.error.status})"


Answer = EmbeddedBatch | Refusal


class Requests:
    """The requests of one task to one endpoint.

    Args:
        neutral: a harmless short text for a test of the endpoint.
        known_good: returns a text that this model has accepted before, or None. It makes a better test. Called at
            most once, after a refusal.
        before_request: called before each request. What it raises ends the task.
        latencies: receives the duration of each request.

    Attributes:
        extra_tokens: billed for tests of the endpoint.
    """

    def __init__(
        self,
        embedder: Embedder,
        neutral: str,
        known_good: Callable[[], str | None] = lambda: None,
        before_request: Callable[[], None] = lambda: None,
        latencies: Latencies | None = None,
    ) -> None:
        self.extra_tokens = 0
        self._embedder = embedder
        self._neutral = neutral
        self._known_good: Callable[[], str | None] | None = known_good
        self._before_request = before_request
        self._latencies = latencies or Latencies()
        self._good_text: str | None = None
        self._has_accepted_texts = False
        self._works_now = False
        self._num_refused = 0

    def answers(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[str], Answer]]:
        """Yield consecutive parts of the texts, each with its vectors, or a single text with its refusal.

        Raises:
            RequestRefused, RequestFailed: the endpoint refuses a good text too.
            EmbedderUnavailable, InvalidVectorError, ConfigurationError: from the embedder.
        """
        first = 0
        while first < len(texts):
            part = texts[first : first + self._embedder.batch_size]
            first += len(part)
            answer = self._ask(part)
            if isinstance(answer, EmbeddedBatch):
                yield part, self._accepted(part, answer)
                continue
            # Answers from before this refusal do not prove that the endpoint still works.
            self._works_now = False
            if self._good_text is None or isinstance(answer, RequestFailed):
                self._test_endpoint(answer)
            yield from self._answers_to_refused(part, answer)

    def answer_again(self, text: str) -> Answer:
        """Send a text that was refused earlier. The endpoint is not tested. Raises as `answers`."""
        answer = self._ask([text])
        return answer if isinstance(answer, EmbeddedBatch) else Refusal(answer)

    def answers_to_all(self, texts: Sequence[str]) -> list[EmbeddedBatch]:
        """Return the vectors of texts none of which may be refused. Raises as `answers`, and for a refused text."""
        found: list[EmbeddedBatch] = []
        for _, answer in self.answers(texts):
            if isinstance(answer, Refusal):
                raise answer.error
            found.append(answer)
        return found

    def _answers_to_refused(
        self, part: Sequence[str], error: RequestRefused | RequestFailed
    ) -> Iterator[tuple[Sequence[str], Answer]]:
        if len(part) == 1:
            if not self._works_now:
                self._test_endpoint(error)
            self._num_refused += 1
            if not self._has_accepted_texts and self._num_refused >= _MOST_REFUSED_AT_FIRST:
                raise error
            yield part, Refusal(error)
            return
        any_refused = False
        first, half = 0, (len(part) + 1) // 2
        while first < len(part):
            # A limit may have been found in the first half.
            smaller = part[first : first + min(half, self._embedder.batch_size)]
            first += len(smaller)
            answer = self._ask(smaller)
            if isinstance(answer, EmbeddedBatch):
                yield smaller, self._accepted(smaller, answer)
                continue
            for one, found in self._answers_to_refused(smaller, answer):
                any_refused |= isinstance(found, Refusal)
                yield one, found
        if not any_refused and isinstance(self._embedder, LearnsHabits):
            self._embedder.limit_batch_size(len(part))

    def _accepted(self, texts: Sequence[str], answer: EmbeddedBatch) -> EmbeddedBatch:
        self._good_text = texts[-1]
        self._has_accepted_texts = self._works_now = True
        return answer

    def _test_endpoint(self, error: RequestRefused | RequestFailed) -> None:
        """Raise the error if the endpoint refuses a good text too."""
        if self._good_text is None and self._known_good is not None:
            self._good_text = self._known_good()
            # Only other chunks prove that the chunk size suits the model.
            self._has_accepted_texts = self._good_text is not None
            self._known_good = None
        answer = self._ask([self._good_text or self._neutral])
        if not isinstance(answer, EmbeddedBatch):
            raise error
        self.extra_tokens += answer.tokens
        self._good_text = self._good_text or self._neutral
        self._works_now = True

    def _ask(self, texts: Sequence[str]) -> EmbeddedBatch | RequestRefused | RequestFailed:
        self._before_request()
        try:
            with self._latencies.timed():
                return self._embedder.embed_documents(texts)
        except REFUSALS as error:
            return self._ask_for_numbers(texts) or error

    def _ask_for_numbers(self, texts: Sequence[str]) -> EmbeddedBatch | None:
        """Repeat a refused request in another form, if that may help."""
        if not isinstance(self._embedder, LearnsHabits):
            return None
        try:
            return self._embedder.embed_as_numbers(texts)
        except REFUSALS:
            return None
