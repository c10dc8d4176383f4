"""A client with one method, `get`, for URLs written by others.

Redirects are followed here, not by the library, so that each is checked like a first request. There are no cookies, no
credentials, no proxies from the environment, and no logging of URLs.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_assets.errors import FetchFailed, FetchRefused, ResponseTooLarge
from rag_assets.safe_http.addresses import IPNetwork
from rag_assets.safe_http.urls import parse_url

if TYPE_CHECKING:
    from httpcore2 import ConnectionPool
    from httpx2 import URL, Response

    from rag_assets.safe_http.connections import Resolve

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
# Codings without decoding in small pieces are not requested, and refused if they arrive.
_CODINGS = frozenset(("", "identity", "gzip", "deflate"))
_KEPT_FOR_ANOTHER_HOST = frozenset(("accept", "if-none-match", "if-modified-since"))
_DEFAULT_MAX_REDIRECTS = 5
_CONNECTIONS = 32
_IDLE_SECONDS = 4.0  # servers close idle connections after five at the earliest


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request.

    Attributes:
        url: URL after redirects.
        headers: by lower-case name.
        body: decoded from gzip or deflate, up to `max_bytes`.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class SafeHttp:
    """Fetches from public addresses. Any number of threads may use it at once.

    Any port is allowed, because it is always a port of a public address.

    Args:
        allow_networks: private networks with permission.
        timeout_seconds: time limit for each wait.
        deadline_seconds: time limit for a whole request, even if bytes keep arriving. It excludes resolving the name:
            the system's resolver has its own limits.
        max_redirects: maximum number of redirects per request.
        resolve: replaces the system's resolver.
        ssl_context: replaces the system's certificate authorities.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        allow_networks: Sequence[IPNetwork] = (),
        timeout_seconds: float = 30.0,
        deadline_seconds: float = 120.0,
        max_redirects: int = _DEFAULT_MAX_REDIRECTS,
        resolve: "Resolve | None" = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        import httpcore2
        import httpx2

        from rag_assets.safe_http.connections import CheckedBackend, Deadline, resolve_by_system

        self._user_agent = user_agent
        self._deadline_seconds = deadline_seconds
        self._max_redirects = max_redirects
        self._deadline = Deadline()
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)
        self._pool: ConnectionPool = httpcore2.ConnectionPool(
            ssl_context=ssl_context or httpx2.create_ssl_context(trust_env=False),
            max_connections=_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=CheckedBackend(resolve or resolve_by_system, allow_networks, self._deadline),
        )

    def get(
        self,
        url: str,
        *,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        truncate: bool = False,
        before_hop: "Callable[[URL], None] | None" = None,
    ) -> Answer:
        """Return the answer to a GET request, after redirects.

        Args:
            max_bytes: maximum size of the decoded body.
            headers: additional headers. Only conditions and `Accept` are sent to another host after a redirect.
            truncate: return the first `max_bytes` of a longer body instead of raising an error.
            before_hop: called with the target of each redirect. It raises an error to stop there.

        Raises:
            FetchRefused: a forbidden URL or address, or too many redirects.
            FetchFailed: no answer, or an incomplete one.
            ResponseTooLarge: the body is larger than `max_bytes`.
        """
        target = parse_url(url)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        for _ in range(self._max_redirects + 1):
            answer = self._get_once(target, sent, max_bytes, truncate)
            location = answer.headers.get("location") if answer.status in _REDIRECTS else None
            if location is None:
                return answer
            before, target = target, parse_url(location, base=target)
            if before.scheme == "https" and target.scheme == "http":
                raise FetchRefused(f"{before.host} redirects from https to http")
            if (before.host, before.port) != (target.host, target.port):
                sent = {name: value for name, value in sent.items() if name in _KEPT_FOR_ANOTHER_HOST}
            if before_hop is not None:
                before_hop(target)
        raise FetchRefused(f"{target.host} redirects more than {self._max_redirects} times")

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _get_once(self, url: "URL", headers: Mapping[str, str], max_bytes: int, truncate: bool) -> Answer:
        import httpcore2
        import httpx2

        self._deadline.start(self._deadline_seconds)
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = {
            **headers,
            "host": url.netloc.decode("ascii"),
            "user-agent": self._user_agent,
            "accept-encoding": "gzip, deflate",
        }
        try:
            with self._pool.stream(
                "GET",
                target,
                headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                extensions={"timeout": self._timeouts},
            ) as raw:
                response = httpx2.Response(
                    raw.status,
                    headers=raw.headers,
                    stream=_byte_stream(raw.iter_stream(), max_bytes, truncate),
                )
                # The body of a redirect is not needed.
                wanted = response.status_code not in _REDIRECTS
                body = _body(response, max_bytes, truncate) if wanted else b""
        except httpcore2.TimeoutException:
            raise FetchFailed(f"{url.host} did not answer in time") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError) as error:
            raise FetchFailed(f"{url.host} did not answer as expected ({type(error).__name__})") from None
        return Answer(
            str(url), response.status_code, {k.lower(): v for k, v in response.headers.items()}, body
        )


def _body(response: "Response", max_bytes: int, truncate: bool) -> bytes:
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise FetchFailed("the answer has a compression that was not requested")
    length = response.headers.get("content-length", "")
    if not truncate and length.isdecimal() and int(length) > max_bytes:
        raise ResponseTooLarge(max_bytes)
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > max_bytes:
            if truncate:
                return bytes(body[:max_bytes])
            raise ResponseTooLarge(max_bytes)
    return bytes(body)


def _byte_stream(chunks: Iterator[bytes], max_bytes: int, truncate: bool) -> Any:
    """Wrap arriving chunks for decoding by httpx. Chunks that decode to nothing count towards the limit."""
    import httpx2

    class Arriving(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            arrived = 0
            for chunk in chunks:
                yield chunk
                arrived += len(chunk)
                # Compression may make short texts slightly longer.
                if arrived > max_bytes + 1_024:
                    if truncate:
                        return
                    raise ResponseTooLarge(max_bytes)

    return Arriving()
