"""Embeddings from the OpenAI API, or from a compatible server.

The official client does the transport and the retries. The response body is decoded here, because the client's own
objects turn each vector into a list of Python floats. Vectors travel as base64, a twentieth of the work of JSON numbers,
unless a server refuses that.

The error text of a server is never repeated: it may quote the input or the key.
"""

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from rag_assets.embedders.base import EmbeddedBatch, checked_unit_vectors
from rag_assets.embedders.splitting import REFUSALS, Refusal
from rag_assets.errors import (
    ConfigurationError,
    EmbedderUnavailable,
    InvalidVectorError,
    RagAssetsError,
    RequestFailed,
    RequestRefused,
    TextRefused,
)
from rag_assets.openai_endpoint import (
    OPENAI_BASE_URL,
    ApiFailure,
    checked_key,
    failure_of,
    normalize_base_url,
)
from rag_assets.records import EmbeddingModel, Vector, Vectors
from rag_assets.text.wording import counted

if TYPE_CHECKING:
    import openai

KNOWN_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
USD_PER_MILLION_TOKENS = {
    "text-embedding-3-small": 0.02,
    "text-embedding-3-large": 0.13,
    "text-embedding-ada-002": 0.10,
}

_REFUSES_A_TEXT = (400, 413, 422)
"""Other refusals, such as an unpaid account or a wrong path, would be the same for every text."""

BATCH_SIZE = 100
"""Texts per request, if the server has no lower limit."""

MAX_REQUEST_BYTES = 300_000
"""UTF-8 bytes of text in one request, unless one text alone is longer.

The API accepts at most 300,000 tokens per request, and no token is shorter than a byte.
"""


class OpenAIEmbedder:
    """Embeds through `POST /embeddings`. Threads may share one.

    At OpenAI's own address the dimension is known. Elsewhere the first answer decides it: any server may name any
    model. The first use of `model` sends a request if there was no answer yet.
    """

    def __init__(
        self,
        model_name: str,
        api_key: str,
        base_url: str | None = None,
        dimensions: int | None = None,
        timeout_seconds: float = 60.0,
        max_retries: int = 5,
    ) -> None:
        """Check the settings. Nothing is sent.

        Args:
            model_name: its name in the API.
            api_key: sent as the bearer token.
            base_url: of a compatible server, None for OpenAI.
            dimensions: length of the vectors, None for that of the model.
            timeout_seconds: for each attempt.
            max_retries: of one request, by the client, with growing pauses.

        Raises:
            ConfigurationError: a setting is invalid.
        """
        key = checked_key(api_key)
        if not model_name.strip():
            raise ConfigurationError(
                "RAG_EMBEDDING_MODEL has no model name; set it to wordllama or a model of the OpenAI API"
            )
        if dimensions is not None and dimensions < 1:
            raise ConfigurationError(
                f"the number of embedding dimensions is {dimensions}; it must be at least 1"
            )
        self.model_name = model_name.strip()
        self.endpoint = normalize_base_url(base_url)
        self.usd_per_million_tokens: float | None = (
            USD_PER_MILLION_TOKENS.get(self.model_name) if self.endpoint == OPENAI_BASE_URL else None
        )
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._max_retries = max_retries
        self._requested_dimensions = dimensions
        self._own_dimensions = (
            KNOWN_DIMENSIONS.get(self.model_name) if self.endpoint == OPENAI_BASE_URL else None
        )
        self._probing = threading.RLock()
        self._found_dimensions: int | None = None
        self._form: Literal["base64", "float"] = "base64"
        self._understands_base64 = False
        self._most_accepted = 0
        self._least_refused: int | None = None

    @property
    def batch_size(self) -> int:
        """Texts per request. Between the largest accepted and the smallest refused number, halfway."""
        if self._least_refused is None:
            return BATCH_SIZE
        return max(1, (self._most_accepted + self._least_refused) // 2)

    def limit_batch_size(self, num_refused: int) -> None:
        # More texts than accepted before: otherwise their length is the reason, and not their number.
        if num_refused > self._most_accepted:
            self._least_refused = min(num_refused, self._least_refused or num_refused)

    @property
    def known_dimensions(self) -> int | None:
        """The dimension of the model, None if only the endpoint knows it."""
        return self._requested_dimensions or self._own_dimensions or self._found_dimensions

    def expect_dimensions(self, dimensions: int) -> None:
        """Set the dimension in advance, to avoid a request by `model`."""
        self._found_dimensions = dimensions

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self.model_name!r}, endpoint={self.endpoint!r})"

    @property
    def model(self) -> EmbeddingModel:
        """The settings behind the vectors. May send one request and raise as `embed_documents`."""
        return EmbeddingModel("openai", self.model_name, self._dimensions(), endpoint=self.endpoint)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        """Embed texts in order, in one request, or in several if they are long.

        Raises:
            EmbedderUnavailable: a rate limit, a timeout, a server error, no connection, no JSON.
            InvalidVectorError: vectors missing, of a wrong dimension, NaN, infinite or zero.
            ConfigurationError: the key, the model or the request is refused, or a requested dimension is ignored.
        """
        embedded = self._embed(texts, self._form)
        self._understands_base64 |= self._form == "base64" and bool(texts)
        return embedded

    def embed_as_numbers(self, texts: Sequence[str]) -> EmbeddedBatch | None:
        if self._understands_base64 or self._form == "float":
            return None
        embedded = self._embed(texts, "float")
        self._form = "float"
        return embedded

    def embed_query(self, text: str) -> Vector:
        """Embed one question, shape (dim,).

        Raises:
            TextRefused: the model refuses the question.
            EmbedderUnavailable, InvalidVectorError, ConfigurationError: as `embed_documents`.
        """
        try:
            return self._embed_one(text).vectors[0]
        except REFUSALS as error:
            if isinstance(error, RequestFailed) and not error.too_long:
                raise
            says = Refusal(error).says(self.model_name)
        raise TextRefused(f"the question {says}", says)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    def _dimensions(self) -> int:
        with self._probing:
            known = self.known_dimensions
            return int(self._embed_one("dimension").vectors.shape[1]) if known is None else known

    def _embed_one(self, text: str) -> EmbeddedBatch:
        """Embed one text in the form that the server accepts."""
        try:
            return self.embed_documents([text])
        except REFUSALS as error:
            refused = error
        embedded = None
        with suppress(*REFUSALS):
            embedded = self.embed_as_numbers([text])
        if embedded is None:
            raise refused
        return embedded

    def _embed(self, texts: Sequence[str], form: Literal["base64", "float"]) -> EmbeddedBatch:
        if not texts:
            width = self.known_dimensions or KNOWN_DIMENSIONS.get(self.model_name, 0)
            return EmbeddedBatch(np.empty((0, width), dtype=np.float32), 0)
        vectors: list[Vectors] = []
        tokens = 0
        for part in _requests(texts):
            body = self._request(part, form)
            vectors.append(self._checked(self._vectors(body, len(part)), len(part)))
            tokens += _prompt_tokens(body)
            self._most_accepted = max(self._most_accepted, len(part))
        return EmbeddedBatch(np.concatenate(vectors), tokens)

    def _checked(self, vectors: npt.NDArray[np.float32], n_texts: int) -> Vectors:
        """Return unit vectors of the one dimension of this model. The first answer may decide it."""
        length = int(vectors.shape[-1])
        with self._probing:
            expected = self.known_dimensions or length
            if length != expected:
                returned = (
                    f"model {self.model_name} at {self.endpoint} returned vectors of {length} dimensions"
                )
                if self._requested_dimensions:
                    raise ConfigurationError(
                        f"{returned}, but {expected} were requested: leave the request for dimensions out"
                    )
                raise InvalidVectorError(f"{returned}, but {expected} were expected")
            checked = checked_unit_vectors(vectors, n_texts, expected, self.model_name)
            self._found_dimensions = expected
        return checked

    @cached_property
    def _client(self) -> "openai.OpenAI":
        from openai import OpenAI

        return OpenAI(
            api_key=self._key,
            base_url=self.endpoint,
            timeout=self._timeout_seconds,
            max_retries=self._max_retries,
        )

    def _request(self, texts: Sequence[str], form: Literal["base64", "float"]) -> dict[str, Any]:
        """Send one request and return the body of the response."""
        from openai import OpenAIError, omit

        problem: RagAssetsError
        try:
            response = self._client.embeddings.with_raw_response.create(
                model=self.model_name,
                # The API refuses an empty text (no chunk is empty, but a question may be), and a lone
                # surrogate has no UTF-8.
                input=[text.encode("utf-8", "replace").decode() or " " for text in texts],
                dimensions=self._requested_dimensions or omit,
                encoding_format=form,
            )
            body = json.loads(response.content)
            if isinstance(body, dict) and isinstance(body.get("data"), list):
                return cast(dict[str, Any], body)
            problem = EmbedderUnavailable(
                f"{self.endpoint} answered without embeddings; check that it is an OpenAI API"
            )
        except OpenAIError as error:
            problem = self._problem(error)
        except ValueError:  # JSONDecodeError, UnicodeDecodeError
            problem = EmbedderUnavailable(
                f"{self.endpoint} answered with something that is not JSON; check that it is an OpenAI API"
            )
        # Raised out here, so that the client's error, which may quote input or key, is not its context.
        raise problem

    def _problem(self, error: Exception) -> RagAssetsError:
        """Return our error for an error of the client, without its text."""
        failure = failure_of(
            error,
            f"the embedding model {self.model_name} at {self.endpoint}",
            self._timeout_seconds,
            self._max_retries,
            "OPENAI_API_KEY",
        )
        if failure.kind == "unavailable":
            message = f"{failure.says}. {_next_step(failure)}"
            if failure.status == 500:
                return RequestFailed(message, 500, too_long=failure.too_long)
            return EmbedderUnavailable(message)
        to_check = {
            "key": "OPENAI_API_KEY",
            "not_found": "RAG_EMBEDDING_MODEL and OPENAI_BASE_URL",
            "refused": "RAG_EMBEDDING_MODEL, its dimensions, and that RAG_CHUNK_SIZE is within the limit of the model "
            "(8191 tokens for OpenAI's)",
        }
        message = f"{failure.says}: check {to_check[failure.kind]}"
        if failure.status in _REFUSES_A_TEXT:
            return RequestRefused(message, failure.status, too_long=failure.too_long)
        return ConfigurationError(message)

    def _vectors(self, body: dict[str, Any], n_texts: int) -> npt.NDArray[np.float32]:
        """Return the vectors in the order of the texts, decoded but not yet checked."""
        items: list[Any] = body["data"]
        wrong = f"model {self.model_name} at {self.endpoint} returned"
        if len(items) != n_texts:
            raise InvalidVectorError(
                f"{wrong} {counted(len(items), 'vector')} for {counted(n_texts, 'text')}"
            )
        by_index: dict[int, npt.NDArray[np.float32]] = {}
        try:
            # Servers built on protocol buffers leave out a zero, and some leave out every index.
            no_index = all(item.get("index") is None for item in items)
            for number, item in enumerate(items):
                index = number if no_index else int(item.get("index") or 0)
                by_index[index] = _decoded(item["embedding"])
        except (AttributeError, KeyError, TypeError, ValueError):
            by_index.clear()
        if not by_index and items:
            raise InvalidVectorError(
                f"{wrong} embeddings that are not an index and base64 of float32, or numbers"
            )
        if sorted(by_index) != list(range(n_texts)):
            raise InvalidVectorError(f"{wrong} embeddings whose index does not run from 0 to {n_texts - 1}")
        if len({vector.shape for vector in by_index.values()}) > 1:
            raise InvalidVectorError(f"{wrong} embeddings of different dimensions")
        return np.stack([by_index[index] for index in range(n_texts)])


def _next_step(failure: ApiFailure) -> str:
    """Return what a person does about a model that is unavailable, as a sentence without a full stop."""
    if failure.status is None:
        return "Start its server, or check OPENAI_BASE_URL and the network, then try again"
    if failure.status == 429:
        return "Try again later, or raise the limits of the account"
    return "See the log or the status page of its server, then try again"


def _decoded(embedding: object) -> npt.NDArray[np.float32]:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)


def _prompt_tokens(body: dict[str, Any]) -> int:
    """Return the billed tokens, 0 if a compatible server omits them."""
    usage = body.get("usage")
    tokens = cast(dict[str, Any], usage).get("prompt_tokens") if isinstance(usage, dict) else 0
    return tokens if isinstance(tokens, int) else 0


def _requests(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in parts of at most `MAX_REQUEST_BYTES`."""
    first = size = 0
    for number, text in enumerate(texts):
        added = len(text.encode("utf-8", "surrogatepass"))
        if number > first and size + added > MAX_REQUEST_BYTES:
            yield texts[first:number]
            first, size = number, 0
        size += added
    if first < len(texts):
        yield texts[first:]
