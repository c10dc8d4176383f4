"""A stand-in for a Slack webhook: a real HTTP server on the loopback interface."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class SlackReceiver:
    """Records every message.

    Args:
        status: HTTP status of each answer.
        headers: extra headers of each answer.
        body: body of each answer.

    Attributes:
        url: address of the webhook, with a secret in its path.
        messages: parsed bodies of the requests.
    """

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"ok") -> None:
        messages: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep the output of the tests clean."""

        self.messages = messages
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/secret-of-the-webhook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
