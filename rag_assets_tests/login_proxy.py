"""A proxy that asks for a login, before a server without one, as an MLflow server behind a company's proxy."""

import re
import socket

from rag_assets_tests.troubled_proxy import TroubledProxy, http_error, is_whole_http_request

_REFUSAL = (
    b"HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\nwww-authenticate: Basic\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nYou are not authenticated"
)


class LoginProxy(TroubledProxy):
    """Passes on requests with one header `Authorization`, and refuses all others.

    Attributes:
        num_refused: refused requests.
    """

    def __init__(self, to_port: int, authorization: str) -> None:
        self._authorization = authorization.encode()
        self.num_refused = 0
        super().__init__(to_port, http_error, is_whole_http_request)

    def _pass_on(self, data: bytes, end: socket.socket, other: socket.socket, is_request: bool) -> bool:
        if is_request:
            given = re.search(rb"(?i)\r\nauthorization: *([^\r]*)\r\n", data)
            if given is None or given[1] != self._authorization:
                self.num_refused += 1
                end.sendall(_REFUSAL)
                return False
        return super()._pass_on(data, end, other, is_request)
