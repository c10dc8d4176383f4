"""A TCP proxy with troubles on demand, for any service: Redis, PostgreSQL, a server of HTTP.

The trouble begins at once, or with a later request. Open connections have it too.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Literal, get_args

from rag_assets_tests.tcp_proxy import TcpProxy, shut

Trouble = Literal["refused", "hanging", "error", "dropped after send"]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)


class TroubledProxy(TcpProxy):
    """Forwards connections to a port of this machine.

    Attributes:
        num_requests: pieces of data that clients have sent since the last `begin`.

    Args:
        answer_error: request -> answer of the service in place of its own, for the trouble "error".
    """

    def __init__(self, to_port: int, answer_error: Callable[[bytes], bytes]) -> None:
        self._answer_error = answer_error
        self._trouble: Trouble | None = None
        self._wanted: tuple[Trouble, Callable[[bytes], bool]] | None = None
        self._lock = threading.Lock()
        self.num_requests = 0
        super().__init__(to_port)

    def begin(self, trouble: Trouble, when: Callable[[bytes], bool] | None = None) -> None:
        """Begin a trouble now, or with the first request that fits."""
        self.end()
        self.num_requests = 0
        if when is None:
            self._start(trouble)
        else:
            self._wanted = (trouble, when)

    @property
    def has_begun(self) -> bool:
        return self._trouble is not None

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

    def _start(self, trouble: Trouble) -> None:
        with self._lock:
            if self._trouble is not None:
                return
            self._trouble, self._wanted = trouble, None
            if trouble == "refused":
                self._stop_listening()
                self.cut()

    def _connected(self, client: socket.socket, upstream: socket.socket) -> None:
        for end, other, is_request in ((client, upstream, True), (upstream, client, False)):
            threading.Thread(target=self._forward, args=(end, other, is_request), daemon=True).start()

    def _forward(self, end: socket.socket, other: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := end.recv(1 << 20):
                if is_request:
                    self.num_requests += 1
                    if self._wanted is not None and self._wanted[1](data):
                        self._start(self._wanted[0])
                if not self._pass_on(data, end, other, is_request):
                    break
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
            case "refused":
                return False
            case None:
                other.sendall(data)
                return True
