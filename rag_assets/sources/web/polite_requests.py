"""Polite requests: one at a time per host, with pauses, obeying robots.txt, and none to a host that is down.

robots.txt follows RFC 9309. Without one, everything is allowed. While it is unavailable, nothing is. It is fetched once
per run.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING

from rag_assets.errors import FetchFailed, FetchRefused
from rag_assets.safe_http import Answer, SafeHttp
from rag_assets.sources.web.canonical import origin_of

if TYPE_CHECKING:
    from httpx2 import URL
    from protego import Protego

_ROBOTS_BYTES = 500 * 1024
_LONGEST_CRAWL_DELAY_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 60.0
_ASKED_AGAIN = 2
_FAILURES_BEFORE_DOUBT = 3


class HostDown(FetchFailed):
    """No more requests go to this host in this run."""


class _Host:
    """State of one host in one run.

    Attributes:
        turn: lock of the one running request.
        closed: reason for no more requests, or "" for an open host.
        failures: number of failures in a row.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.turn = threading.Lock()
        self.robots_turn = threading.Lock()
        self.robots: Protego | None = None
        self.robots_known = False
        self.delay_seconds = 0.0
        self.closed = ""
        self.failures = 0
        self._slot = threading.Lock()
        self._next = 0.0

    def pause(self) -> None:
        """Wait until the next request may begin."""
        with self._slot:
            start = max(monotonic(), self._next)
            self._next = start + self.delay_seconds
        if (seconds := start - monotonic()) > 0:
            sleep(seconds)


class PoliteHttp:
    """`SafeHttp` for robots. Any number of threads may use it at once. Requests to one host wait for each other.

    A broken page does not mean that its host is down. After three failures in a row robots.txt is fetched again. If
    this fails too, the host is closed for the rest of the run. So is a host with a `Retry-After` of more than a minute.

    Args:
        agent: product token in robots.txt files.
        delay_seconds: pause between two requests to a host, unless its robots.txt asks for more (up to 30 s).
    """

    def __init__(self, http: SafeHttp, agent: str, delay_seconds: float) -> None:
        self._http = http
        self._agent = agent
        self._delay_seconds = delay_seconds
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def begin_run(self) -> None:
        """Forget all robots.txt files, and open all hosts again."""
        with self._lock:
            self._hosts = {}

    @property
    def everything_is_down(self) -> bool:
        """Whether all hosts of this run are closed."""
        with self._lock:
            return bool(self._hosts) and all(host.closed for host in self._hosts.values())

    def allows(self, url: str) -> bool:
        """Return whether robots.txt allows a page.

        Raises:
            HostDown: robots.txt is unavailable.
        """
        robots = self._robots(self._host(url))
        return robots is None or robots.can_fetch(url, self._agent)

    def get(
        self,
        url: str,
        *,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        may_lead_to: Callable[[str], bool] | None = None,
    ) -> Answer:
        """Return the answer for a page, with any status. robots.txt is checked for redirects, not for `url`.

        Args:
            may_lead_to: returns whether to follow a redirect to this target.

        Raises:
            HostDown: the host is closed.
            FetchFailed, FetchRefused, ResponseTooLarge: see `SafeHttp.get`.
        """
        host = self._host(url)
        self._robots(host)

        def before_hop(target: "URL") -> None:
            if may_lead_to is not None and not may_lead_to(str(target)):
                raise FetchRefused("it redirects to another site")
            if not self.allows(str(target)):
                raise FetchRefused(f"it redirects to a URL that robots.txt of {target.host} disallows")
            self._host(str(target)).pause()

        with host.turn:
            again = _ASKED_AGAIN
            while True:
                if host.closed:
                    raise HostDown(host.closed)
                host.pause()
                try:
                    answer = self._http.get(url, max_bytes=max_bytes, headers=headers, before_hop=before_hop)
                except FetchFailed:
                    self._failed(host)
                    raise
                seconds = _retry_after(answer)
                if seconds is None or not again:
                    break
                if seconds > _LONGEST_WAIT_SECONDS:
                    host.closed = f"{host.origin} asks for a pause of {seconds:.0f} s"
                    break
                again -= 1
                sleep(seconds)
            if _is_failure(answer):
                self._failed(host)
            else:
                host.failures = 0
            return answer

    def _host(self, url: str) -> _Host:
        origin = origin_of(url)
        with self._lock:
            return self._hosts.setdefault(origin, _Host(origin))

    def _failed(self, host: _Host) -> None:
        host.failures += 1
        if host.failures % _FAILURES_BEFORE_DOUBT == 0 and not host.closed:
            host.pause()
            try:
                self._fetch_robots(host.origin)
            except FetchFailed as error:
                host.closed = str(error)

    def _robots(self, host: _Host) -> "Protego | None":
        """Return the rules of a host, or None if it has none."""
        with host.robots_turn:
            if not host.robots_known:
                try:
                    host.robots = self._fetch_robots(host.origin)
                except FetchFailed as error:
                    host.closed = str(error)
                wanted = (host.robots.crawl_delay(self._agent) if host.robots else None) or 0.0
                host.delay_seconds = max(self._delay_seconds, min(wanted, _LONGEST_CRAWL_DELAY_SECONDS))
                host.robots_known = True
        if host.closed and host.robots is None:
            raise HostDown(host.closed)
        return host.robots

    def _fetch_robots(self, origin: str) -> "Protego | None":
        from protego import Protego

        try:
            answer = self._http.get(f"{origin}/robots.txt", max_bytes=_ROBOTS_BYTES, truncate=True)
        except FetchRefused:
            return None  # redirects in a circle, or a host whose every URL is refused
        if _is_failure(answer):
            raise FetchFailed(f"{origin} is not read: its robots.txt has status {answer.status}")
        if answer.status != 200:
            return None
        return Protego.parse(answer.body.decode("utf-8-sig", "replace"))


def _is_failure(answer: Answer) -> bool:
    """Return whether the server cannot answer at the moment. This says nothing about the page."""
    return answer.status == 429 or answer.status >= 500


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds in `Retry-After`, or None without one."""
    value = answer.headers.get("retry-after", "").strip()
    if answer.status not in (429, 503) or not value:
        return None
    if value.isdecimal():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
