"""Models that are asked what recordings and pictures hold: which are set, what they cost, and when not to ask any more.

Here belong the limits on time and tries, and what becomes of an endpoint that fails: it costs the documents that need it,
and nothing else. How a format is asked is known to its parser. Whatever is paid for is counted, also where it is of no use.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.openai_api import OPENAI_BASE_URL, ApiFailure, checked_key, failure_of, normalize_base_url
from rag_assets.parsers import asks_by_name
from rag_assets.parsers.media import AsksModel, ModelAnswer
from rag_assets.parsers.parsed_text import ParsedText, checked_text, require_text_size
from rag_assets.records import ParsedDocument
from rag_assets.time_limits import within

if TYPE_CHECKING:
    import openai

USD_PER_AUDIO_MINUTE = {"gpt-transcribe": 0.0045, "whisper-1": 0.006}

_SENT_AT_ONCE = 4
_TIMEOUT_SECONDS = 300.0
_CONNECT_SECONDS = 10.0
_MAX_RETRIES = 2
_MOST_FAILURES = 3
"""In a row; then an endpoint is left alone until the next refresh."""
_MOST_TEXT_BYTES = 25_000_000
_REFUSES_A_DOCUMENT = (400, 413, 415, 422)
"""Any other refusal, such as of an account without money, or of a wrong path, would meet every document alike."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD for a million tokens."""

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
    """Return what an answer costs at OpenAI, or None if the price is not known, or not what it counts by."""
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
    """What one model was asked in one refresh.

    Attributes:
        num_documents: that it gave an answer for.
        num_bytes: of documents that it would be asked about, in a dry run; else 0.
        tokens: billed, in and out.
        cost_usd: None if a price is not known.
    """

    model: str
    num_documents: int = 0
    num_bytes: int = 0
    audio_seconds: float = 0.0
    tokens: int = 0
    cost_usd: float | None = 0.0


class MediaModels:
    """The models of one refresh, by the variable that names them.

    Args:
        models: variable -> model; one that is empty is not asked.
        base_url: of a server that speaks the API, or None for OpenAI's own.
        api_key: "" for a server that wants none.
        key_variable: where the key is set, for a person.
        asks: whether anything is sent; if not, it is only counted.
        text_bytes: of the text of a document, as UTF-8, at most.

    Raises:
        ConfigurationError: settings that cannot work.
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
    ) -> None:
        named = {variable: model.strip() for variable, model in (models or {}).items()}
        self.usage = {variable: ModelUsage(model) for variable, model in named.items() if model}
        self.asks = asks
        # What nobody uses need not be right.
        self._endpoint = normalize_base_url(base_url if self.usage else None, "RAG_MEDIA_BASE_URL")
        self._key_variable = key_variable
        if self.usage and self._endpoint == OPENAI_BASE_URL and not api_key.strip():
            raise ConfigurationError(
                f"{key_variable} is not set, but {' and '.join(self.usage)} {'are' if len(self.usage) > 1 else 'is'}; "
                "set the key, or RAG_MEDIA_BASE_URL for a server of your own"
            )
        self._key = checked_key(api_key, key_variable) if self.usage and api_key.strip() else "none"
        self._text_bytes = text_bytes
        self._timeout_seconds = timeout_seconds
        self._max_retries = max_retries
        self._counted: set[str] = set()
        self._failures = dict.fromkeys(self.usage, 0)
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_SENT_AT_ONCE)
        self._closed = False

    def __repr__(self) -> str:
        return f"MediaModels({[usage.model for usage in self.usage.values()]}, endpoint={self._endpoint!r})"

    def is_set(self, parser: AsksModel) -> bool:
        """Return whether there is a model for a format."""
        return parser.model_variable in self.usage

    def reads(self, filename: str) -> bool:
        """Return whether a file of this name can be read: it needs no model, or there is one."""
        parser = asks_by_name(filename)
        return parser is None or self.is_set(parser)

    def identity_of(self, parser: AsksModel) -> str:
        """Return what determines a text besides the parser: with another one the same bytes are sent again."""
        return (
            f"{self.usage[parser.model_variable].model} {self._endpoint}" if self.is_set(parser) else "none"
        )

    def sends(self, parser: AsksModel, data: bytes) -> bool:
        """Return whether a document goes to its model; what is empty, too large, or only named so never does."""
        return self.is_set(parser) and 0 < len(data) <= parser.max_bytes and parser.recognizes(data)

    def count(self, parser: AsksModel, raw_hash: str, num_bytes: int) -> bool:
        """Count a document that would be sent; return False if its bytes were counted before."""
        if raw_hash in self._counted:
            return False
        self._counted.add(raw_hash)
        usage = self.usage[parser.model_variable]
        usage.num_documents += 1
        usage.num_bytes += num_bytes
        return True

    def submit(self, parser: AsksModel, data: bytes) -> "Future[ParsedText]":
        """Have a document read by its model.

        Returns:
            A future that raises `DocumentUnreadable`: also `model_unavailable`, which does not last.
        """
        future: Future[ParsedText] = Future()
        # No pool: at its end a process would wait for those of a pool, for as long as an endpoint does not answer.
        threading.Thread(target=self._run, args=(future, parser, data), name="media", daemon=True).start()
        return future

    def _run(self, future: "Future[ParsedText]", parser: AsksModel, data: bytes) -> None:
        with self._slots:
            if self._closed:
                future.cancel()
                return
            try:
                future.set_result(self._read(parser, data))
            except BaseException as error:  # whoever waits for it must hear of it
                future.set_exception(error)

    def close(self) -> None:
        """Ask nothing more, and wait for nothing that is under way."""
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
        answer = self._ask(parser, data)
        if answer.problem is not None:
            raise answer.problem
        require_text_size(len(answer.text.encode(errors="replace")), self._text_bytes)
        return checked_text(parser, ParsedDocument(answer.text))

    def _ask(self, parser: AsksModel, data: bytes) -> ModelAnswer:
        usage = self.usage[parser.model_variable]
        asked = f"{self._endpoint} (model {usage.model})"
        if self._failures[parser.model_variable] >= _MOST_FAILURES:
            raise DocumentUnreadable(
                "model_unavailable",
                f"{asked} failed for others before it, and is not asked any more until the next refresh.",
                lasting=False,
            )
        problem: DocumentUnreadable
        try:
            with self._lock:
                client = self._client
            # The client's own limit is that of one read, which a server that drips never exceeds.
            limit_seconds = 2 * self._timeout_seconds * (1 + self._max_retries)
            answer = within(limit_seconds, lambda: parser.ask(client, usage.model, data))
        except DocumentUnreadable:
            raise
        except (ValueError, LookupError, TypeError, AttributeError):
            says = f"{asked} answered with something that is none of this API"
            problem = self._problem(parser, ApiFailure("unavailable", None, says))
        except Exception as error:  # of the client, of waiting for it, or of what else it is made of
            problem = self._problem(
                parser,
                failure_of(error, asked, self._timeout_seconds, self._max_retries, self._key_variable),
            )
        else:
            self._count_answer(parser, usage, answer)
            return answer
        # Raised out here, so that the client's error, which may quote the key, is not its context.
        raise problem

    def _problem(self, parser: AsksModel, failure: ApiFailure) -> DocumentUnreadable:
        """Return what a failure means for the document that was sent, and count it if it is none of its fault."""
        if failure.status in _REFUSES_A_DOCUMENT:
            if failure.status == 413:
                return DocumentUnreadable("too_large", f"{failure.says}. Split it, or compress it more.")
            return DocumentUnreadable(
                "corrupt",
                f"{failure.says}: it is damaged, too long, or not what {parser.model_variable} takes.",
            )
        with self._lock:
            self._failures[parser.model_variable] += 1
        to_check = {
            "key": self._key_variable,
            "not_found": f"{parser.model_variable} and RAG_MEDIA_BASE_URL",
            "unavailable": "that it runs and what it allows",
            "refused": "RAG_MEDIA_BASE_URL, and what the account allows",
        }
        detail = f"{failure.says}. Check {to_check[failure.kind]}; every refresh tries again."
        return DocumentUnreadable("model_unavailable", detail, lasting=False)

    def _count_answer(self, parser: AsksModel, usage: ModelUsage, answer: ModelAnswer) -> None:
        cost = cost_usd(usage.model, answer) if self._endpoint == OPENAI_BASE_URL else None
        with self._lock:
            self._failures[parser.model_variable] = 0
            usage.num_documents += 1
            usage.audio_seconds += answer.audio_seconds
            usage.tokens += answer.input_tokens + answer.output_tokens
            usage.cost_usd = None if cost is None or usage.cost_usd is None else usage.cost_usd + cost
