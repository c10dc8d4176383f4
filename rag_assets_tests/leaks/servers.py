"""A server that fails as it is told, and repeats everything that it was sent, also decoded.

One server speaks HTTP, Redis, PostgreSQL and TLS: the first bytes of a client say which.
"""

import base64
import html
import json
import re
import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from rag_assets_tests.certificates import self_signed_certificate

STATUSES = ("200", "400", "401", "403", "404", "409", "429", "500", "503")
KINDS = ("refused", "hanging", "dropped", "echo", "untrusted", "redirect", *STATUSES)
_MOST_BYTES = 3000
_SSL_REQUEST, _STARTUP = 80877103, 196608
_REDIS = {
    "401": "WRONGPASS invalid username-password pair: {}",
    "403": "NOPERM this user has no permissions to run {}",
    "409": "MOVED 1 {}",
    "429": "ERR max number of clients reached {}",
    "503": "LOADING Redis is loading {}",
    "500": "ERR internal error {}",
}
_STATES = {"401": "28P01", "403": "42501", "404": "3D000", "409": "40001", "429": "53300", "503": "57P03"}


class FailingServer:
    """Listens on a port of this machine until its end.

    Attributes:
        kind: one of `KINDS`. "refused" listens nowhere, and "untrusted" speaks TLS with a certificate of its own.
        num_requests: so far.
        posted_to_slack: bodies of alerts.
    """

    def __init__(self, folder: Path) -> None:
        self.kind = "500"
        self.num_requests = 0
        self.posted_to_slack: list[bytes] = []
        self._released = threading.Event()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self_signed_certificate(folder / "server.pem"))
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._port = self._server.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self._closed_port = closed.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return self._closed_port if self.kind == "refused" else self._port

    @property
    def scheme(self) -> str:
        return "https" if self.kind == "untrusted" else "http"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError, struct.error), client:
            client.settimeout(20)
            if self.kind == "untrusted":
                with self._tls.wrap_socket(client, server_side=True) as inner:
                    inner.recv(1)
                return
            while data := client.recv(1 << 16):
                self.num_requests += 1
                if self.kind == "hanging":
                    self._released.wait(20)
                if self.kind in ("hanging", "dropped"):
                    return
                if self.kind == "echo":
                    client.sendall(data)
                    return
                if data[:1] == b"*":
                    client.sendall(self._redis(data))
                elif len(data) >= 8 and struct.unpack("!I", data[4:8])[0] in (_SSL_REQUEST, _STARTUP):
                    self._postgres(client, data)
                    return
                else:
                    self._http(client, data)
                    return

    def _redis(self, data: bytes) -> bytes:
        words = re.findall(rb"\$\d+\r\n(.*?)\r\n", data, re.S)
        said = " ".join(f"'{word.decode('latin-1')}'" for word in words).replace("\n", " ").replace("\r", " ")
        text = _REDIS.get(self.kind, "ERR unknown command 'AUTH', with args beginning with: {}").format(said)
        num_commands = len(re.findall(rb"(?:\A|\r\n)\*\d+\r\n\$", data))
        return b"-%s\r\n" % text.encode("latin-1", "replace")[:_MOST_BYTES] * max(1, num_commands)

    def _postgres(self, client: socket.socket, data: bytes) -> None:
        if struct.unpack("!I", data[4:8])[0] == _SSL_REQUEST:
            client.sendall(b"N")
            data = client.recv(1 << 16)
        client.sendall(b"R" + struct.pack("!II", 8, 3))  # the password, please, in the clear
        password = client.recv(1 << 16)[5:].rstrip(b"\0").decode("latin-1")
        said = f"no {password}, {data[8:].decode('latin-1')!r}"
        fields = f"SFATAL\0VFATAL\0C{_STATES.get(self.kind, 'XX000')}\0M{said}\0D{said}\0\0".encode()
        client.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)

    def _http(self, client: socket.socket, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.I)
        while length and len(body) < int(length[1]):
            body += client.recv(1 << 16)
        said = self._said(head, body)
        status = "302" if self.kind == "redirect" else self.kind
        line = " ".join(said.split())[:900]
        path = head.split(b" ")[1].decode("latin-1")
        if path.startswith("/services/"):
            self.posted_to_slack.append(body)
        if b"AWS4-HMAC" in head:
            text = html.escape(line)
            answer = f"<Error><Code>{html.escape(line[:60])}</Code><Message>{text}</Message></Error>".encode()
            kind = "application/xml"
        else:
            answer = json.dumps(_shapes(said)).encode()
            kind = "application/json"
        client.sendall(
            f"HTTP/1.1 {status} {line}\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n"
            f"Location: http://127.0.0.1:{self._port}{path}\r\nWWW-Authenticate: Basic realm={line[:200]}\r\n"
            f"Retry-After: {line[:50] if self.kind == '503' else 0}\r\nX-Said: {line[:200]}\r\nConnection: close\r\n\r\n".encode(
                "latin-1", "replace"
            )
            + answer
        )

    def _said(self, head: bytes, body: bytes) -> str:
        said = head.decode("latin-1") + " " + body[:1000].decode("utf-8", "replace")
        for coded in re.findall(r"basic ([A-Za-z0-9+/=]+)", said, re.I):
            with suppress(ValueError):
                said = f"{base64.b64decode(coded).decode('latin-1')} {said}"
        # The secrets come first, because some clients shorten a text.
        headers = re.findall(r"(?:authorization|api-key|x-amz-security-token): *(\S.*)", said, re.I)
        return " ".join((*headers, said))[:_MOST_BYTES]


def _shapes(said: str) -> dict[str, object]:
    """Return an answer with the text wherever a client may look for the reason."""
    names: tuple[str, ...] = ("message", "detail", "reason", "title", "code", "description")
    return {
        **dict.fromkeys(names, said),
        "error": dict.fromkeys(names, said),
        "errors": [dict.fromkeys(names, said)],
        "status": {"error": said},
        "data": {"errors": [{"message": {"translation": said}}]},
    }
