"""A stand-in for a Slack webhook: a real HTTP server on the loopback interface."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Behavior = Literal["answering", "hanging", "dropped"]


class SlackReceiver:
    """Records every message.

    Args:
        status: HTTP status of each answer.
        headers: extra headers of each answer.
        body: body of each answer.

    Attributes:
        url: address of the webhook, with a secret in its path.
        status: may be changed between requests.
        messages: parsed bodies of the accepted requests.
        num_requests: of all requests.
    """

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"ok") -> None:
        receiver = self
        self.status, self._headers, self._body = status, headers or {}, body
        self._behavior: Behavior = "answering"
        self._ended = threading.Event()
        self.num_requests = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.num_requests += 1
                self.send_error(404)

            def do_POST(self) -> None:
                receiver.num_requests += 1
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver._behavior == "hanging":
                    receiver._ended.wait(60)
                if receiver._behavior != "answering":
                    self.close_connection = True
                    return
                if receiver.status < 300:
                    receiver.messages.append(message)
                self.send_response(receiver.status)
                for name, value in receiver._headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(receiver._body)

            def log_message(self, *args: Any) -> None:
                """Keep the output of the tests clean."""

        self.messages: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/secret-of-the-webhook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def behave(self, behavior: Behavior) -> None:
        """Answer, hang, or take a request and drop the connection."""
        self._behavior = behavior

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
