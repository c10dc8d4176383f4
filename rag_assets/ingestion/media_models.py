"""Models for recordings and pictures: settings, prices, time limits, and failing endpoints.

A failing endpoint affects only the documents of its model. The request for a format is made by its parser. Every paid
answer is counted, including useless ones.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.openai_endpoint import (
    OPENAI_BASE_URL,
    ApiFailure,
    checked_key,
    failure_of,
    normalize_base_url,
)
from rag_assets.parsers.media import AsksModel, ModelAnswer
from rag_assets.parsers.parsed_text import ParsedText, checked_text, require_text_size
from rag_assets.parsers.registry import asks_by_name
from rag_assets.records import ParsedDocument
from rag_assets.settings import Settings
from rag_assets.time_limits import within

if TYPE_CHECKING:
    import openai

USD_PER_AUDIO_MINUTE = {"gpt-transcribe": 0.0045, "whisper-1": 0.006}

_SENT_AT_ONCE = 4
_TIMEOUT_SECONDS = 300.0
_CONNECT_SECONDS = 10.0
_MAX_RETRIES = 2
_MOST_FAILURES = 3
"""Failures in a row. After them an endpoint gets no more requests until the next refresh."""
_MOST_TEXT_BYTES = 25_000_000
_MAY_REFUSE_A_DOCUMENT = (400, 413, 415, 422)
"""If a valid sample is accepted. Other refusals, such as an unpaid account, would be the same for every document."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens."""

    input: float
    output: float
    audio_input: float = 0.0


USD_PER_MILLION_TOKENS = {
    "gpt-4o-transcribe": TokenPrices(2.50, 10.00, audio_input=6.00),
    "gpt-4o-mini-transcribe": TokenPrices(1.25, 5.00, audio_input=3.00),
    "gpt-4o": TokenPrices(2.50, 10.00),
    "gpt-4o-mini": TokenPrices(0.15, 0.60),
    "gpt-4.1": TokenPrices(2.00, 8.00),
    "gpt-4.1-mini": TokenPrices(0.40, 1.60),
    "gpt-4.1-nano": TokenPrices(0.10, 0.40),
    "gpt-5": TokenPrices(1.25, 10.00),
    "gpt-5-mini": TokenPrices(0.25, 2.00),
    "gpt-5-nano": TokenPrices(0.05, 0.40),
}


def cost_usd(model: str, answer: ModelAnswer) -> float | None:
    """Return the cost of an answer at OpenAI, or None if the price or its unit is unknown."""
    minute, tokens = USD_PER_AUDIO_MINUTE.get(model), USD_PER_MILLION_TOKENS.get(model)
    if minute is not None and answer.audio_seconds:
        return answer.audio_seconds / 60 * minute
    if tokens is not None and answer.input_tokens:
        text_tokens = answer.input_tokens - answer.audio_tokens
        return (
            text_tokens * tokens.input
            + answer.audio_tokens * tokens.audio_input
            + answer.output_tokens * tokens.output
        ) / 1_000_000
    return None


@dataclass(slots=True)
class ModelUsage:
    """Use of one model in one refresh.

    Attributes:
        num_documents: number of answers, or in a dry run of documents to send.
        num_bytes: size of the documents to send, in a dry run only.
        tokens: billed tokens, input and output.
        cost_usd: None if a price is unknown.
    """

    model: str
    num_documents: int = 0
    num_bytes: int = 0
    audio_seconds: float = 0.0
    tokens: int = 0
    cost_usd: float | None = 0.0


Spent = Callable[[str, int, float | None], None]
"""Receives model, tokens and cost of an answer. None: the price is unknown."""


def _spend_nothing(_model: str, _tokens: int, _usd: float | None) -> None: ...


class MediaModels:
    """The models of one refresh, by the variable that names them.

    Args:
        models: variable -> model. An empty model is not used.
        base_url: URL of a compatible server, or None for OpenAI.
        api_key: "" for a server without keys.
        key_variable: variable of the key, for messages.
        asks: whether requests are sent. If not, documents are only counted.
        text_bytes: maximum text of a document, in bytes of UTF-8.
        spent: called after each paid answer, from any thread.

    Raises:
        ConfigurationError: missing or invalid settings.
    """

    def __init__(
        self,
        models: Mapping[str, str] | None = None,
        base_url: str | None = None,
        api_key: str = "",
        *,
        key_variable: str = "OPENAI_API_KEY",
        asks: bool = True,
        text_bytes: int = _MOST_TEXT_BYTES,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        max_retries: int = _MAX_RETRIES,
        spent: Spent = _spend_nothing,
    ) -> None:
        named = {variable: model.strip() for variable, model in (models or {}).items()}
        self.usage = {variable: ModelUsage(model) for variable, model in named.items() if model}
        self.asks = asks
        # An unused URL is not checked.
        self._endpoint = normalize_base_url(base_url if self.usage else None, "RAG_MEDIA_BASE_URL")
        self._key_variable = key_variable
        if self.usage and self._endpoint == OPENAI_BASE_URL and not api_key.strip():
            raise ConfigurationError(
                f"{' and '.join(self.usage)} {'need' if len(self.usage) > 1 else 'needs'} {key_variable}. Set the key, "
                "or RAG_MEDIA_BASE_URL for a server of your own."
            )
        self._key = checked_key(api_key, key_variable) if self.usage and api_key.strip() else "none"
        self._text_bytes = text_bytes
        self._timeout_seconds = timeout_seconds
        self._max_retries = max_retries
        self._spent = spent
        self._counted: set[str] = set()
        self._failures = dict.fromkeys(self.usage, 0)
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_SENT_AT_ONCE)
        self._closed = False

    def __repr__(self) -> str:
        return f"MediaModels({[usage.model for usage in self.usage.values()]}, endpoint={self._endpoint!r})"

    def is_set(self, parser: AsksModel) -> bool:
        """Return whether a model is set for a format."""
        return parser.model_variable in self.usage

    def reads(self, filename: str) -> bool:
        """Return whether a file of this name can be read: without a model, or with a model that is set."""
        parser = asks_by_name(filename)
        return parser is None or self.is_set(parser)

    def identity_of(self, parser: AsksModel) -> str:
        """Return the model and endpoint of a format. With another value the same bytes are sent again."""
        return (
            f"{self.usage[parser.model_variable].model} {self._endpoint}" if self.is_set(parser) else "none"
        )

    def sends(self, parser: AsksModel, data: bytes) -> bool:
        """Return whether a document is sent to its model: not if it is empty, too large, or of another format."""
        return self.is_set(parser) and 0 < len(data) <= parser.max_bytes and parser.recognizes(data)

    def count(self, parser: AsksModel, raw_hash: str, num_bytes: int) -> bool:
        """Count a document to send. Return False if the same bytes were counted before."""
        if raw_hash in self._counted:
            return False
        self._counted.add(raw_hash)
        usage = self.usage[parser.model_variable]
        usage.num_documents += 1
        usage.num_bytes += num_bytes
        return True

    def submit(self, parser: AsksModel, data: bytes) -> "Future[ParsedText]":
        """Send a document to its model.

        Returns:
            A future of its text. It raises `DocumentUnreadable`, among others with the temporary reason
            `model_unavailable`.
        """
        future: Future[ParsedText] = Future()
        # No pool: at exit a process waits for the threads of a pool, as long as an endpoint does not answer.
        threading.Thread(target=self._run, args=(future, parser, data), name="media", daemon=True).start()
        return future

    def _run(self, future: "Future[ParsedText]", parser: AsksModel, data: bytes) -> None:
        with self._slots:
            if self._closed:
                future.cancel()
                return
            try:
                future.set_result(self._read(parser, data))
            except BaseException as error:  # passed on to the waiting thread
                future.set_exception(error)

    def close(self) -> None:
        """Send no more requests, and do not wait for running ones."""
        self._closed = True
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> "openai.OpenAI":
        from openai import OpenAI, Timeout

        return OpenAI(
            api_key=self._key,
            base_url=self._endpoint,
            timeout=Timeout(self._timeout_seconds, connect=min(_CONNECT_SECONDS, self._timeout_seconds)),
            max_retries=self._max_retries,
        )

    def _read(self, parser: AsksModel, data: bytes) -> ParsedText:
        if not self.is_set(parser):
            detail = f"No model is set for {parser.plural}: set {parser.model_variable}."
            raise DocumentUnreadable("model_unavailable", detail, lasting=False)
        if not data:
            raise DocumentUnreadable("empty", "The file has no bytes.")
        if len(data) > parser.max_bytes:
            detail = (
                f"{len(data) / 1e6:.0f} MB; the limit of {parser.plural} is {parser.max_bytes / 1e6:.0f} MB."
            )
            raise DocumentUnreadable("too_large", f"{detail} Split it, or compress it more.")
        answer = self._answer_to(parser, data)
        if answer.problem is not None:
            raise answer.problem
        require_text_size(len(answer.text.encode(errors="replace")), self._text_bytes)
        return checked_text(parser, ParsedDocument(answer.text))

    def _answer_to(self, parser: AsksModel, data: bytes) -> ModelAnswer:
        if self._failures[parser.model_variable] >= _MOST_FAILURES:
            raise DocumentUnreadable(
                "model_unavailable",
                f"{self._asked(parser)} failed {_MOST_FAILURES} times in a row, and gets no more requests until the "
                "next refresh.",
                lasting=False,
            )
        answer = self._ask(parser, data)
        if isinstance(answer, ModelAnswer):
            self._count_answer(parser, answer)
            return answer
        if answer.status in _MAY_REFUSE_A_DOCUMENT:
            with_sample = self._ask(parser, parser.sample)
            if isinstance(with_sample, ModelAnswer):
                self._count_answer(parser, with_sample, num_documents=0)
                raise self._refusal(parser, answer)
            if with_sample.status == answer.status:
                answer = replace(answer, says=f"{answer.says}, and a valid sample too")
        raise self._failure(parser, answer)

    def _asked(self, parser: AsksModel) -> str:
        return f"{self._endpoint} (model {self.usage[parser.model_variable].model})"

    def _ask(self, parser: AsksModel, data: bytes) -> ModelAnswer | ApiFailure:
        """Send one document. A failure is returned, since the client's error may quote the key."""
        model, asked = self.usage[parser.model_variable].model, self._asked(parser)
        try:
            with self._lock:
                client = self._client
            # The client's own time limit is per read: a server that sends one byte at a time never exceeds it.
            limit_seconds = 2 * self._timeout_seconds * (1 + self._max_retries)
            return within(limit_seconds, lambda: parser.ask(client, model, data))
        except DocumentUnreadable:
            raise
        except (ValueError, LookupError, TypeError, AttributeError):
            return ApiFailure("unavailable", None, f"{asked} did not answer as the OpenAI API does")
        except Exception as error:  # from the client, its libraries, or the time limit
            return failure_of(error, asked, self._timeout_seconds, self._max_retries, self._key_variable)

    def _refusal(self, parser: AsksModel, failure: ApiFailure) -> DocumentUnreadable:
        if failure.status == 413:
            return DocumentUnreadable("too_large", f"{failure.says}. Split it, or compress it more.")
        return DocumentUnreadable(
            "corrupt",
            f"{failure.says}: it is corrupt, too long, or of a format {parser.model_variable} does not accept.",
        )

    def _failure(self, parser: AsksModel, failure: ApiFailure) -> DocumentUnreadable:
        """Count a failure of the endpoint, and return the error for the document: it is not to blame."""
        with self._lock:
            self._failures[parser.model_variable] += 1
        to_check = {
            "key": self._key_variable,
            "not_found": f"{parser.model_variable} and RAG_MEDIA_BASE_URL",
            "unavailable": "that it is running, and the limits of the account",
            "refused": "RAG_MEDIA_BASE_URL, and the limits of the account",
        }[failure.kind]
        if failure.status in _MAY_REFUSE_A_DOCUMENT:
            to_check = f"{parser.model_variable} and RAG_MEDIA_BASE_URL"
        detail = f"{failure.says}. Check {to_check}. Every refresh tries again."
        return DocumentUnreadable("model_unavailable", detail, lasting=False)

    def _count_answer(self, parser: AsksModel, answer: ModelAnswer, num_documents: int = 1) -> None:
        usage = self.usage[parser.model_variable]
        cost = cost_usd(usage.model, answer) if self._endpoint == OPENAI_BASE_URL else None
        tokens = answer.input_tokens + answer.output_tokens
        self._spent(usage.model, tokens, cost)
        with self._lock:
            self._failures[parser.model_variable] = 0
            usage.num_documents += num_documents
            usage.audio_seconds += answer.audio_seconds
            usage.tokens += tokens
            usage.cost_usd = None if cost is None or usage.cost_usd is None else usage.cost_usd + cost


def media_models_of(settings: Settings, *, asks: bool, spent: Spent = _spend_nothing) -> MediaModels:
    """Return the models in the settings. A key is sent only to the endpoint that it was set for.

    Args:
        spent: as in `MediaModels`.

    Raises:
        ConfigurationError: invalid settings.
    """
    own = settings.media_base_url
    shared = own is None or normalize_base_url(own, "RAG_MEDIA_BASE_URL") == normalize_base_url(
        settings.openai_base_url
    )
    key = settings.media_api_key or (settings.openai_api_key if shared else None)
    return MediaModels(
        {
            "RAG_TRANSCRIPTION_MODEL": settings.transcription_model,
            "RAG_VISION_MODEL": settings.vision_model,
        },
        own or settings.openai_base_url,
        key.get_secret_value() if key else "",
        key_variable="OPENAI_API_KEY" if shared and not settings.media_api_key else "RAG_MEDIA_API_KEY",
        asks=asks,
        text_bytes=settings.max_text_mb * 1_000_000,
        spent=spent,
    )
