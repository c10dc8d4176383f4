"""Connections to exactly the checked addresses.

httpcore makes every connection through a network backend. This one resolves a name once, checks every address, and
passes the address, not the name, to the socket. So there is no second resolution with another result. The Host header
and TLS still use the name. This module is imported for the first request.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import httpcore2

from rag_assets.errors import FetchFailed, FetchRefused
from rag_assets.safe_http.addresses import IPAddress, IPNetwork, why_refused
from rag_assets.safe_http.urls import check_host

Resolve = Callable[[str], Sequence[str]]
"""Host name -> addresses, as text. Raises OSError."""

_MOST_ADDRESSES_TRIED = 4


def resolve_by_system(host: str) -> list[str]:
    """Return the addresses of a name from the system's resolver, without duplicates."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class Deadline(threading.local):
    """Deadline of the request in this thread. A connection is used by one thread at a time."""

    def __init__(self) -> None:
        self._end = float("inf")

    def start(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def cut(self, timeout: float | None) -> float | None:
        """Return a timeout cut to the deadline.

        Raises:
            httpcore2.ReadTimeout: the deadline has passed.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)


class CheckedBackend(httpcore2.NetworkBackend):
    """Connects to public addresses, and to addresses in `allowed` networks."""

    def __init__(self, resolve: Resolve, allowed: Sequence[IPNetwork], deadline: Deadline) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        problem: Exception = FetchFailed(f"{host} has no address")
        for address in self._checked_addresses(host)[:_MOST_ADDRESSES_TRIED]:
            try:
                stream = self._sockets.connect_tcp(
                    str(address), port, self._deadline.cut(timeout), local_address, socket_options
                )
                return _DeadlineStream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem

    def _checked_addresses(self, host: str) -> list[IPAddress]:
        literal = check_host(host)
        addresses = [literal] if literal is not None else self._resolved(host)
        for address in addresses:
            # One private address is enough to refuse the name.
            if what := why_refused(address, self._allowed):
                raise FetchRefused(
                    f"{host} has a private or special address ({what}). To read it anyway, add its network to the "
                    "option allow_networks"
                )
        return addresses

    def _resolved(self, host: str) -> list[IPAddress]:
        try:
            answers = self._resolve(host)
        except (OSError, UnicodeError):
            raise FetchFailed(f"the name {host} cannot be resolved") from None
        try:
            return [IPv6Address(text) if ":" in text else IPv4Address(text) for text in answers]
        except ValueError:
            raise FetchRefused(f"{host} resolves to an invalid address") from None


class _DeadlineStream(httpcore2.NetworkStream):
    """A stream with no wait beyond the deadline, even if bytes keep arriving."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.cut(timeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cut(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()
