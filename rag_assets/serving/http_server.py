"""The server over streamable HTTP, without sessions: each request is answered alone, and nothing grows."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from rag_assets.errors import ConfigurationError
from rag_assets.serving.http_guard import MOST_BODY_BYTES, PATH, HttpGuard

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]/@]+):(\d{1,5})")
_MOST_CONNECTIONS = 64
_SECONDS_TO_END = 5


def listen(address: str, token: str | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        address: `HOST:PORT`, or `[HOST]:PORT` for IPv6. Port 0 is any free one.

    Raises:
        ConfigurationError: the address is unusable, or not of this machine alone without a token.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[2]) > 65_535:
        raise ConfigurationError(f"--http: expected HOST:PORT such as 127.0.0.1:8765, found {address!r}")
    host, port = found[1].strip("[]"), int(found[2])
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise ConfigurationError(f"--http: unknown host {host!r}") from None
    # The resolved address, not the name, which may lead elsewhere.
    if token is None and not ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback:
        raise ConfigurationError(
            f"--http: {host} is reachable from other machines, and there is no token. Set RAG_MCP_TOKEN, or listen on "
            "127.0.0.1"
        )
    opened = socket.socket(family, kind, number)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen()
    except OSError as error:
        opened.close()
        raise ConfigurationError(f"--http: cannot listen on {address}: {error.strerror}") from None
    return opened


def url_of(opened: socket.socket) -> str:
    """Return the address for clients on this machine."""
    host, port = _bound(opened)
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{_in_url(host)}:{port}{PATH}"


def _bound(opened: socket.socket) -> tuple[str, int]:
    host, port = opened.getsockname()[:2]
    return str(host).partition("%")[0], int(port)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def serve_http(server: Server, opened: socket.socket, hosts: Iterable[str], token: str | None) -> None:
    """Serve until a signal ends the process.

    Args:
        hosts: as of `HttpGuard`.
    """
    host, _ = _bound(opened)
    names = set(hosts) if ipaddress.ip_address(host).is_unspecified else {*hosts, _in_url(host)}
    manager = StreamableHTTPSessionManager(
        server, json_response=True, stateless=True, max_request_body_size=MOST_BODY_BYTES
    )
    application: Any = HttpGuard(manager.handle_request, names, token)
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,  # it would write to stdout
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    async with manager.run():
        await uvicorn.Server(config).serve(sockets=[opened])
