"""A TCP proxy with troubles on demand, for any service: Redis, PostgreSQL, a server of HTTP.

The trouble begins at once, or with a later request. Open connections have it too.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from typing import Literal, get_args

from rag_assets_tests.tcp_proxy import TcpProxy, shut

Trouble = Literal["refused", "hanging", "error", "dropped after send", "one answer lost"]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)


def is_whole_http_request(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def http_error(_request: bytes) -> bytes:
    return b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"


class TroubledProxy(TcpProxy):
    """Forwards connections to one port.

    Attributes:
        has_begun: whether the wanted trouble has begun, since the last `begin`.
        num_requests: requests that clients have sent since the last `begin`.

    Args:
        answer_error: request -> answer of the service in place of its own, for the trouble "error".
        is_whole: whether data is a whole request. By default any piece is one.
    """

    def __init__(
        self,
        to_port: int,
        answer_error: Callable[[bytes], bytes],
        is_whole: Callable[[bytes], bool] = lambda data: True,
        to_host: str = "127.0.0.1",
    ) -> None:
        self._answer_error = answer_error
        self._is_whole = is_whole
        self.has_begun = False
        self._loses_answer: socket.socket | None = None
        self._trouble: Trouble | None = None
        self._wanted: tuple[Trouble, Callable[[bytes], bool]] | None = None
        self._lock = threading.Lock()
        self.num_requests = 0
        super().__init__(to_port, to_host)

    def begin(self, trouble: Trouble, when: Callable[[bytes], bool] | None = None) -> None:
        """Begin a trouble now, or with the first request that fits."""
        self.end()
        self.num_requests, self.has_begun = 0, False
        if when is None:
            self._start(trouble)
        else:
            self._wanted = (trouble, when)

    def end(self) -> None:
        """End the trouble. New connections work again."""
        refused, self._trouble, self._wanted = self._trouble == "refused", None, None
        if refused:
            self._listen(self.port)
        self.cut()

    def close(self) -> None:
        if self._trouble != "refused":
            self._stop_listening()
        self.cut()

    def _start(self, trouble: Trouble, client: socket.socket | None = None) -> None:
        with self._lock:
            if self._trouble is not None:
                return
            self._loses_answer = client
            self._trouble, self._wanted, self.has_begun = trouble, None, True
            if trouble == "refused":
                self._stop_listening()
                self.cut()

    def _connected(self, client: socket.socket, upstream: socket.socket) -> None:
        for end, other, is_request in ((client, upstream, True), (upstream, client, False)):
            threading.Thread(target=self._forward, args=(end, other, is_request), daemon=True).start()

    def _forward(self, end: socket.socket, other: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            data = b""
            while piece := end.recv(1 << 20):
                data += piece
                if is_request:
                    if not self._is_whole(data):
                        continue
                    self.num_requests += 1
                    if self._wanted is not None and self._wanted[1](data):
                        self._start(self._wanted[0], end)
                if not self._pass_on(data, end, other, is_request):
                    break
                data = b""
        if self._trouble == "hanging" and not is_request:
            return  # a server ends an idle connection, and a client in front of a hanging one hears nothing of it
        shut(end)
        shut(other)

    def _pass_on(self, data: bytes, end: socket.socket, other: socket.socket, is_request: bool) -> bool:
        """Return whether the connection stays open."""
        match self._trouble:
            case "hanging":
                return True
            case "error":
                if is_request:
                    end.sendall(self._answer_error(data))
                return True
            case "dropped after send":
                if is_request:
                    other.sendall(data)
                return is_request
            case "one answer lost":
                if is_request:
                    self._loses_answer = self._loses_answer or end
                elif self._loses_answer is other:
                    self._trouble = None
                    return False
                other.sendall(data)
                return True
            case "refused":
                return False
            case None:
                other.sendall(data)
                return True
