"""A real HTTP server on the loopback interface with OpenAI's API for embeddings, transcriptions and pictures.

Its vectors are sums of one fixed random direction per word, so texts with common words are near one another. Tests set the
content of a recording or a picture in advance: `server.holds[data] = "words"`. They order faults request by request:
`server.fail_next(status(500), times=2)`. `server.weights = "b"` puts another model behind the same names.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np

from rag_assets.embedders.probe import PROBE_TEXTS
from rag_assets.parsers.audio import AudioParser
from rag_assets.parsers.image import ImageParser

API_KEY = "sk-fake-0123456789abcdef"
DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "tiny-embedding": 32,
}
SAMPLES = (AudioParser().sample, ImageParser().sample)
TRANSCRIPTION_MODELS = ("whisper-1", "gpt-4o-transcribe", "tiny-whisper")
VISION_MODELS = ("gpt-4o-mini", "tiny-llava")
SECONDS_OF_A_RECORDING = 90.0

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Return the number of tokens by the rule of this server, at least one per text."""
    return _WORD.findall(text.lower()) or [" "]


@lru_cache(maxsize=65536)
def _direction(word: str, dimensions: int, weights: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256((weights + word).encode("utf-8", "replace")).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)


def vector_of(text: str, dimensions: int, weights: str = "") -> np.ndarray:
    """Return the vector of this server for a text: unit length, float32."""
    total = np.sum([_direction(word, dimensions, weights) for word in words(text)], axis=0)
    return (total / np.linalg.norm(total)).astype(np.float32)


@dataclass
class Request:
    """One request as received."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    file: bytes = b""
    filename: str = ""

    @property
    def texts(self) -> list[str]:
        given = self.body.get("input", [])
        return [given] if isinstance(given, str) else list(given)

    @property
    def picture(self) -> bytes:
        parts = self.body["messages"][0]["content"] if "messages" in self.body else []
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        return base64.b64decode(urls[0].partition(";base64,")[2], validate=True) if urls else b""


@dataclass
class Reply:
    """The planned answer of the server. A fault changes it."""

    status: int
    vectors: list[np.ndarray]
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drop: bool = False


Fault = Callable[[Request, Reply], None]


def status(code: int, error_code: str | None = None, retry_after_seconds: float | None = None) -> Fault:
    """Answer with an error quoting the key and the input, like real servers."""

    def fault(request: Request, reply: Reply) -> None:
        key = request.headers.get("authorization", "")
        reply.status = code
        message = f"error for {key}: {request.texts!r}"
        reply.body = {"error": {"message": message, "type": "fake", "code": error_code, "param": "input"}}
        if retry_after_seconds is not None:
            reply.headers["retry-after"] = f"{retry_after_seconds:g}"

    return fault


def drop_connection(request: Request, reply: Reply) -> None:
    reply.drop = True


def not_json(request: Request, reply: Reply) -> None:
    reply.raw = f"<html>{request.texts!r} {request.headers.get('authorization')}</html>".encode()


def no_data(request: Request, reply: Reply) -> None:
    reply.body = {"object": "list", "echo": request.texts}


def no_answer(request: Request, reply: Reply) -> None:
    reply.body = {"object": "something", "echo": request.headers.get("authorization")}


def refusal(request: Request, reply: Reply) -> None:
    reply.body["choices"][0]["message"] |= {"content": None, "refusal": "I will not."}


def no_words(request: Request, reply: Reply) -> None:
    reply.body["choices"][0]["message"]["content"] = None


def cut_off(request: Request, reply: Reply) -> None:
    reply.body["choices"][0]["finish_reason"] = "length"


def reversed_order(request: Request, reply: Reply) -> None:
    reply.body["data"].reverse()


def duplicate_index(request: Request, reply: Reply) -> None:
    reply.body["data"][-1]["index"] = 0


def missing_item(request: Request, reply: Reply) -> None:
    reply.body["data"].pop()


def additional_item(request: Request, reply: Reply) -> None:
    reply.body["data"].append({**reply.body["data"][0], "index": len(reply.body["data"])})


def broken_base64(request: Request, reply: Reply) -> None:
    reply.body["data"][0]["embedding"] += "*"  # a lenient decoder would skip it


def _with_first_vector(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    def fault(request: Request, reply: Reply) -> None:
        item = reply.body["data"][0]
        item["embedding"] = encoded(change(reply.vectors[0].copy()), request.body.get("encoding_format"))

    return fault


def _with_component(value: float) -> Fault:
    def change(vector: np.ndarray) -> np.ndarray:
        vector[3] = value
        return vector

    return _with_first_vector(change)


nan_component = _with_component(float("nan"))
infinite_component = _with_component(float("inf"))
zero_vector = _with_first_vector(np.zeros_like)
one_wrong_dimension = _with_first_vector(lambda vector: vector[:-1])


def all_wrong_dimensions(request: Request, reply: Reply) -> None:
    for item, vector in zip(reply.body["data"], reply.vectors, strict=True):
        item["embedding"] = encoded(vector[:-1], request.body.get("encoding_format"))


def floats_in_spite_of_base64(request: Request, reply: Reply) -> None:
    for item, vector in zip(reply.body["data"], reply.vectors, strict=True):
        item["embedding"] = vector.tolist()


def no_usage(request: Request, reply: Reply) -> None:
    del reply.body["usage"]


def usage(reported: object) -> Fault:
    """Answer properly, with this object as the usage."""

    def fault(request: Request, reply: Reply) -> None:
        reply.body["usage"] = reported

    return fault


def encoded(vector: np.ndarray, encoding_format: str | None) -> str | list[float]:
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return vector.tolist()


class FakeOpenAI:
    """The server, a context manager.

    Attributes:
        requests: every request received, including refused ones.
        texts, tokens: number embedded so far.
        delay_seconds: pause before each answer.
        holds: recording or picture -> its content.
        habits: faults of every answer, in this order. `compatible_servers` has those of known servers.
    """

    def __init__(self, api_key: str = API_KEY) -> None:
        self.api_key = api_key
        self.requests: list[Request] = []
        self.texts = 0  # without those of the probe
        self.probes = 0
        self.tokens = 0
        self.delay_seconds = 0.0
        self.weights = ""
        self.holds: dict[bytes, str] = {}
        self.habits: list[Fault] = []
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def num_asked(self, path: str) -> int:
        """Return the number of requests for a path, such as `audio/transcriptions`."""
        return sum(request.path == f"/v1/{path}" for request in self.requests)

    def fail_next(self, *faults: Fault, times: int = 1) -> None:
        """Apply these faults, in turn, to the next requests. Later requests are answered properly."""
        with self._lock:
            self._faults.extend(list(faults) * times)

    def forget_faults(self) -> None:
        """Answer the next requests properly."""
        with self._lock:
            self._faults.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            fault = self._faults.popleft() if self._faults else None
        reply = self._right_reply(request)
        for change in (*self.habits, *([fault] if fault else [])):
            change(request, reply)
        if reply.status == 200 and not reply.drop:
            with self._lock:
                if request.texts == list(PROBE_TEXTS):
                    self.probes += 1
                else:
                    self.texts += len(request.texts)
                self.tokens += sum(len(words(text)) for text in request.texts)
        return reply

    def _right_reply(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _error(401, "Incorrect API key provided: " + request.headers.get("authorization", ""))
        model = str(request.body.get("model"))
        if request.path == "/v1/audio/transcriptions" and model in TRANSCRIPTION_MODELS:
            return self._transcription(request, model)
        if request.path == "/v1/chat/completions" and model in VISION_MODELS:
            return self._description(request)
        if request.path != "/v1/embeddings":
            return _error(404, "no such path, or no such model there")
        if model not in DIMENSIONS:
            return _error(404, f"The model {model} does not exist")
        texts = request.texts
        if not texts or len(texts) > 2048 or not all(isinstance(text, str) and text for text in texts):
            return _error(400, f"$.input is invalid: {texts!r}")
        dimensions = request.body.get("dimensions", DIMENSIONS[model])
        if not isinstance(dimensions, int) or not 1 <= dimensions <= DIMENSIONS[model]:
            return _error(400, "$.dimensions is invalid")
        vectors = [vector_of(text, dimensions, self.weights) for text in texts]
        encoding_format = request.body.get("encoding_format")
        tokens = sum(len(words(text)) for text in texts)
        body = {
            "object": "list",
            "model": model,
            "data": [
                {"object": "embedding", "index": index, "embedding": encoded(vector, encoding_format)}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return Reply(200, vectors, body)

    def _content_of(self, data: bytes) -> str | None:
        return "" if data in SAMPLES else self.holds.get(data)

    def _transcription(self, request: Request, model: str) -> Reply:
        text = self._content_of(request.file)
        if text is None:
            return _error(400, "Audio file might be corrupted or unsupported")
        usage: dict[str, Any] = {"type": "duration", "seconds": SECONDS_OF_A_RECORDING}
        if model != "whisper-1":
            details = {"audio_tokens": 900, "text_tokens": 100}
            usage = {
                "type": "tokens",
                "input_tokens": 1000,
                "input_token_details": details,
                "output_tokens": len(words(text)),
                "total_tokens": 1000 + len(words(text)),
            }
        return Reply(200, [], {"text": text, "usage": usage})

    def _description(self, request: Request) -> Reply:
        text = self._content_of(request.picture)
        if text is None:
            return _error(400, "You uploaded an unsupported image")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
        return Reply(200, [], {"object": "chat.completion", "choices": [choice], "usage": usage})


def refuses(data: bytes, fault: Fault) -> Fault:
    """Apply a fault to each request with this recording or picture."""

    def habit(request: Request, reply: Reply) -> None:
        if data in (request.file, request.picture):
            fault(request, reply)

    return habit


def _error(code: int, message: str) -> Reply:
    return Reply(code, [], {"error": {"message": message, "type": "invalid_request_error", "code": None}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, fake: FakeOpenAI) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: some tests have a client give up waiting."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fake = self.server.fake
        if headers["content-type"].startswith("multipart/form-data"):
            request = _form(self.path, headers, data)
        else:
            request = Request(self.path, headers, json.loads(data))
        reply = fake.reply_to(request)
        if fake.delay_seconds:
            time.sleep(fake.delay_seconds)
        if reply.drop:
            self.close_connection = True
            return
        data = reply.raw if reply.raw is not None else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _form(path: str, headers: dict[str, str], data: bytes) -> Request:
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + data)
    request = Request(path, headers, {})
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename() is None:
            request.body[part.get_param("name", header="content-disposition")] = content.decode()
        else:
            request.file, request.filename = content, part.get_filename()
    return request


def cosine(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
