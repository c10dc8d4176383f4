"""The checks of an HTTP request before the protocol sees it: host, origin, token, path, method and size.

A web page in a browser on this machine can send requests to it, under a name of its own if it controls that name (DNS
rebinding). Its `Host` or `Origin` gives it away.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

PATH = "/mcp"
MOST_BODY_BYTES = 65_536
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/\[\]]+)(?::\d{1,5})?")
_ORIGIN = re.compile(r"https?://(.+)")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_Refusal = tuple[HTTPStatus, str, dict[str, str]]


class HttpGuard:
    """An ASGI application that passes on the admissible requests.

    Args:
        hosts: names in `Host`, beside those of the loopback address.
        token: bearer token of every request, None for none.
    """

    def __init__(self, application: Application, hosts: Iterable[str], token: str | None) -> None:
        self._application = application
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in hosts}
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await _send(send, *refusal)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        """Return status, reason and headers of the answer to an inadmissible request."""
        headers = _Headers(scope["headers"])
        if not self._is_known(headers.only("host")):
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "unknown name in the header Host: add it to RAG_MCP_HOSTS",
                {},
            )
        if headers.has("origin") and not self._is_known_origin(headers.only("origin")):
            return (
                HTTPStatus.FORBIDDEN,
                "requests from pages of this origin are refused: see RAG_MCP_HOSTS",
                {},
            )
        if not self._is_authorized(headers.only("authorization")):
            return (
                HTTPStatus.UNAUTHORIZED,
                "send the header Authorization: Bearer, with the token of RAG_MCP_TOKEN",
                {"www-authenticate": "Bearer"},
            )
        if scope["path"] != PATH:
            return HTTPStatus.NOT_FOUND, f"there is only {PATH}", {}
        if scope["method"] != "POST":
            # No sessions and no messages of the server: nothing to GET or DELETE.
            return HTTPStatus.METHOD_NOT_ALLOWED, "only POST is allowed", {"allow": "POST"}
        size = headers.only("content-length")
        if size is not None and (not size.isdigit() or len(size) > 18 or int(size) > MOST_BODY_BYTES):
            return (
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request has more than {MOST_BODY_BYTES:,} bytes",
                {},
            )
        return None

    def _is_known(self, host: str | None) -> bool:
        found = _HOST.fullmatch((host or "").lower())
        return found is not None and found[1] in self._hosts

    def _is_known_origin(self, origin: str | None) -> bool:
        found = _ORIGIN.fullmatch(origin or "")
        return found is not None and self._is_known(found[1])

    def _is_authorized(self, authorization: str | None) -> bool:
        if self._token is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        return (
            hmac.compare_digest(given.strip().encode("latin-1"), self._token) and scheme.lower() == "bearer"
        )


class _Headers:
    """The headers of a request. ASGI has their names in lower case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]

    def has(self, name: str) -> bool:
        return any(one == name for one, _ in self._pairs)

    def only(self, name: str) -> str | None:
        """Return the value of a header, None if it is missing or there are several: they could contradict each other."""
        values = [value for one, value in self._pairs if one == name]
        return values[0] if len(values) == 1 else None


async def _send(send: Send, status: HTTPStatus, reason: str, more: dict[str, str]) -> None:
    body = f"{reason}\n".encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **more}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status.value, "headers": raw})
    await send({"type": "http.response.body", "body": body})
