"""A TCP proxy between a client and a server on this machine. What it passes on is decided by those built on it."""

import contextlib
import socket
import threading


class TcpProxy:
    """Accepts connections, and connects each to one port.

    Attributes:
        port: of the proxy on 127.0.0.1.
    """

    def __init__(self, to_port: int, to_host: str = "127.0.0.1") -> None:
        self._to_port, self._to_host = to_port, to_host
        self._open: list[socket.socket] = []
        self._listen(0)
        self.port: int = self._server.getsockname()[1]

    def _connected(self, client: socket.socket, upstream: socket.socket) -> None:
        """Begin to forward in both directions, without waiting."""
        raise NotImplementedError

    def _listen(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _stop_listening(self) -> None:
        # Without this the thread in `accept` keeps the port open.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def cut(self) -> None:
        """Close all connections."""
        while self._open:
            shut(self._open.pop())

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection((self._to_host, self._to_port))
            except OSError:
                shut(client)
                continue
            self._open += [client, upstream]
            self._connected(client, upstream)


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
