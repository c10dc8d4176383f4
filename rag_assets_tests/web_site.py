"""A web site on a loopback port, with replies set by a test, counted requests, and failures on demand."""

import hashlib
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """One answer.

    Attributes:
        etag: send an ETag of the body, and answer requests with the same one with 304.
        torn: cut the connection in the middle of the body.
        without_length: end the body with the connection.
        drip: send single bytes for ever in place of `body`.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    etag: bool = False
    torn: bool = False
    drip: bool = False
    without_length: bool = False


class WebSite:
    """Paths with their queries -> replies. Other paths are 404.

    Attributes:
        replies: path -> reply, or a function of the request headers.
        requests: requested paths with their headers, in order.
        num_connections: number of accepted connections.
        num_bodies: number of replies with status 200, without robots.txt and sitemaps.
        failing: current failure of every request, or "" for none.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.replies: dict[str, Reply | Callable[[dict[str, str]], Reply]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.num_connections = 0
        self.num_bodies = 0
        self.failing = ""
        self.address = address
        self._released = threading.Event()
        self._lock = threading.Lock()
        self.port = 0
        self._start()
        self.url = f"http://{address}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def page(self, path: str, html: str, *, etag: bool = True, **headers: str) -> None:
        self.replies[path] = Reply(html.encode(), etag=etag, headers=headers)

    def text(self, path: str, text: str, content_type: str = "text/plain", **reply: bool) -> None:
        self.replies[path] = Reply(text.encode(), content_type=content_type, **reply)

    @contextmanager
    def fails(self, how: str) -> Generator[None]:
        self.failing = how
        self._released.clear()
        if how == "refused":
            self._stop()
        try:
            yield
        finally:
            self.failing = ""
            self._released.set()
            if how == "refused":
                self._start()

    def close(self) -> None:
        self.failing = "refused"
        self._released.set()
        self._stop()

    def _start(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60
            disable_nagle_algorithm = True

            def setup(self) -> None:
                with site._lock:
                    site.num_connections += 1
                super().setup()

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # who asked has gone

        self._server = Server((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.requests.append((handler.path, headers))
        if self.failing == "refused":
            handler.close_connection = True
            return
        if self.failing == "hang":
            self._released.wait(60)
            handler.close_connection = True
            return
        if self.failing in ("forbidden", "error"):
            reply = Reply(b"no", 403 if self.failing == "forbidden" else 500)
        else:
            found = self.replies.get(handler.path, Reply(b"<p>Not found.</p>", 404))
            reply = found(headers) if callable(found) else found
        self._send(handler, headers, reply)

    def _send(self, handler: BaseHTTPRequestHandler, headers: dict[str, str], reply: Reply) -> None:
        sent = {"Content-Type": reply.content_type, **reply.headers}
        if reply.etag:
            sent["ETag"] = f'"{hashlib.sha256(reply.body).hexdigest()[:16]}"'
        status, body = reply.status, reply.body
        if reply.etag and headers.get("if-none-match") == sent["ETag"]:
            status, body = 304, b""
        elif status == 200 and not handler.path.startswith(("/robots.txt", "/sitemap")):
            with self._lock:
                self.num_bodies += 1
        try:
            handler.send_response(status)
            for name, value in sent.items():
                handler.send_header(name, value)
            if reply.drip:
                handler.end_headers()
                handler.close_connection = True
                while not self._released.wait(0.05) and self.failing != "refused":
                    handler.wfile.write(b".")
                return
            if reply.without_length:
                handler.close_connection = True
            elif status != 304:
                handler.send_header("Content-Length", str(len(body) + (1000 if reply.torn else 0)))
            handler.end_headers()
            handler.wfile.write(body)
            if reply.torn:
                handler.close_connection = True
        except OSError:
            handler.close_connection = True
