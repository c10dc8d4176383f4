"""Habits of servers that speak OpenAI's API for embeddings, for `FakeOpenAI.habits`.

The answers are those of the servers, as users reported them. Like the servers, an answer may quote the input.
"""

import re
from collections.abc import Callable
from typing import Any

from rag_assets_tests.fake_openai import Fault, Reply, Request, encoded, vector_of

Body = dict[str, Any]


def _openai_error(status: int, message: str, kind: str, code: object = None) -> Body:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def tei_error(status: int, message: str) -> Body:
    return {"message": message, "code": status, "type": "Validation"}


def vllm_error(status: int, message: str) -> Body:
    return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status}


def ollama_error(status: int, message: str) -> Body:
    return _openai_error(status, message, "api_error")


def llama_cpp_error(status: int, message: str) -> Body:
    return {"error": {"code": status, "message": message, "type": "server_error"}}


def lm_studio_error(status: int, message: str) -> Body:
    return {"error": message}


def refusing(
    refuses: Callable[[Request], bool],
    status: int,
    message: str,
    body: Callable[[int, str], Body] = tei_error,
) -> Fault:
    """Refuse some requests. Retries of the official client are switched off, so that a test need not wait."""

    def fault(request: Request, reply: Reply) -> None:
        if reply.status == 200 and refuses(request):
            reply.status, reply.body = status, body(status, message)
            reply.headers["x-should-retry"] = "false"

    return fault


def at_most(texts: int, status: int = 413, body: Callable[[int, str], Body] = tei_error) -> Fault:
    message = f"batch size 100 > maximum allowed batch size {texts}"
    return refusing(lambda request: len(request.texts) > texts, status, message, body)


def no_longer_than(characters: int, status: int, message: str, body: Callable[[int, str], Body]) -> Fault:
    return refusing(
        lambda request: any(len(text) > characters for text in request.texts), status, message, body
    )


def without(words: str, status: int = 400) -> Fault:
    """Refuse a text with these words, as a content filter does."""
    return refusing(
        lambda request: any(re.search(words, text) for text in request.texts),
        status,
        f"The response was filtered: {words}",
        lambda status, message: _openai_error(status, message, "invalid_request_error", "content_filter"),
    )


def no_base64(status: int = 422, body: Callable[[int, str], Body] = vllm_error) -> Fault:
    return refusing(
        lambda request: request.body.get("encoding_format") != "float",
        status,
        "encoding_format: Input should be 'float'",
        body,
    )


def base64_ignored(request: Request, reply: Reply) -> None:
    """LM Studio and early versions of Ollama send numbers, whatever the format."""
    for item, vector in zip(reply.body.get("data", ()), reply.vectors, strict=False):
        item["embedding"] = vector.tolist()


def dimensions_ignored(length: int) -> Fault:
    """Answer with vectors of one length, whatever was requested."""

    def fault(request: Request, reply: Reply) -> None:
        for item, text in zip(reply.body.get("data", ()), request.texts, strict=False):
            item["embedding"] = encoded(vector_of(text, length), request.body.get("encoding_format"))

    return fault


def no_index_of_the_first(request: Request, reply: Reply) -> None:
    """Leave out a zero, as servers with protocol buffers do."""
    for item in reply.body.get("data", ()):
        if item["index"] == 0:
            del item["index"]


def no_index_at_all(request: Request, reply: Reply) -> None:
    for item in reply.body.get("data", ()):
        del item["index"]


TEI = (
    at_most(32),
    no_longer_than(600, 413, "`inputs` must have less than 512 tokens. Given: 600", tei_error),
)
VLLM = (
    no_longer_than(
        600, 400, "This model's maximum context length is 512 tokens. However, you requested 600", vllm_error
    ),
)
OLLAMA = (
    base64_ignored,
    no_longer_than(600, 400, "the input length exceeds the context length", ollama_error),
)
LLAMA_CPP = (
    no_longer_than(
        600,
        500,
        "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
        llama_cpp_error,
    ),
)
LM_STUDIO = (
    base64_ignored,
    no_longer_than(600, 400, "Trying to keep the first 600 tokens, context length is 512", lm_studio_error),
)
DASHSCOPE = (
    at_most(
        10,
        400,
        lambda status, message: _openai_error(
            status, "batch size is invalid, it should not be larger than 10", "InvalidParameter"
        ),
    ),
)
SERVERS: dict[str, tuple[Fault, ...]] = {
    "TEI": TEI,
    "vLLM": VLLM,
    "Ollama": OLLAMA,
    "llama.cpp": LLAMA_CPP,
    "LM Studio": LM_STUDIO,
    "DashScope": DASHSCOPE,
}
