"""A JSON server on the loopback interface with failures on demand. Subclasses define its answers."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rag_assets_tests.sources.scenes.base import Failure


class JsonServer:
    """Passes each request to `handle`, except for failures without an answer.

    Attributes:
        failure: failure of every request, including `drip`, or "" for none.
        headers: additional headers for the answers of `handle`.
        questions: paths and queries of the requests, in order.
        num_bodies: number of transferred documents, counted by the subclass.
    """

    def __init__(self) -> None:
        self.failure: Failure | str = ""
        self.headers: dict[str, str] = {}
        self.questions: list[str] = []
        self.num_bodies = 0
        self._released = threading.Event()
        json_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                json_server._receive(self, {name: values[0] for name, values in query.items()})

            def do_POST(self) -> None:
                json_server._receive(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *args: Any) -> None: ...

        self._handler = Handler
        self._server = self._serve(0)
        self.port: int = self._server.server_address[1]

    def handle(self, request: BaseHTTPRequestHandler, path: str, question: dict[str, Any]) -> None:
        """Answer a request.

        Args:
            question: query of a GET request, or object of a POST request.
        """
        raise NotImplementedError

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        if how == "refused":
            self.close()
        self.failure = how
        try:
            yield
        finally:
            self.failure = ""
            self._released.set()
            self._released = threading.Event()
            if how == "refused":
                self._server = self._serve(self.port)

    def _serve(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def _receive(self, request: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
        self.questions.append(request.path)
        if self.failure == "refused":
            request.close_connection = True  # a connection kept alive from before
        elif self.failure == "hang":
            self._released.wait(30)
            request.close_connection = True
        elif self.failure == "drip":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(100):
                request.wfile.write(b" ")
                self._released.wait(0.1)
        else:
            self.handle(request, urlsplit(request.path).path, question)


def send(
    request: BaseHTTPRequestHandler,
    status: int,
    answer: Any,
    headers: dict[str, str] | None = None,
    *,
    torn: bool = False,
) -> None:
    """Send an object, or only half of it."""
    data = json.dumps(answer).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(data[: len(data) // 2] if torn else data)
    request.close_connection = request.close_connection or torn
