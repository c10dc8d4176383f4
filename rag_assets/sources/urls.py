"""Pages of web sites: those of a list, those of sitemaps, and those that they link to.

Here belongs which pages are documents, which of them are one and the same, and what an answer means for a document.
How a host is asked, and what may be connected to at all, is decided in `sources/web` and `safe_http`.
"""

import codecs
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network
from itertools import chain, zip_longest
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from rag_assets.errors import (
    DocumentGone,
    DocumentUnreadable,
    FetchFailed,
    FetchRefused,
    ResponseTooLarge,
    SourceUnavailable,
)
from rag_assets.records import SourceEntry
from rag_assets.safe_http import Answer, SafeHttp
from rag_assets.settings import UserPath
from rag_assets.sources.base import DEFAULT_MAX_BYTES, Reading, RemoteSourceOptions, SourceOptions
from rag_assets.sources.web.canonical import (
    canonical_url,
    document_path,
    filename_of,
    may_be_page,
    origin_of,
    site_of,
)
from rag_assets.sources.web.page_links import PageLinks, page_links
from rag_assets.sources.web.page_notes import PageNote, PageNotes
from rag_assets.sources.web.polite import HostDown, PoliteHttp
from rag_assets.sources.web.sitemaps import MAX_SITEMAP_BYTES, SitemapWalk
from rag_assets.sources.web.validators import Validators

_LOGGER = logging.getLogger(__name__)

_DEFAULT_FILE = Path("data/urls_to_scrape.txt")
_BATCH = 256
_READERS = 8
_MOST_KEPT_BYTES = 64 * 1024 * 1024
_HTML = ("text/html", "application/xhtml+xml")
_GONE = frozenset((404, 410))


class UrlsOptions(RemoteSourceOptions):
    """Which pages, how politely, and how much of each."""

    file: UserPath = Field(_DEFAULT_FILE, description="File with one URL a line; `#` begins a comment.")
    urls: tuple[str, ...] = Field((), description="URLs of pages.")
    sitemaps: tuple[str, ...] = Field(
        (),
        description="URLs of sitemaps and sitemap indexes, or of a robots.txt, whose sitemaps are then read.",
    )
    crawl_depth: int = Field(
        0, ge=0, le=20, description="How many links away from these pages to go; 0 for none."
    )
    crawl_pages: int = Field(1_000, ge=1, description="How many pages to add at most by following links.")
    same_site: bool = Field(
        True, description="Stay on the site (host and port) of the page or sitemap when following them."
    )
    exclude: tuple[str, ...] = Field((), description="Beginnings of URLs that are left out.")
    use_canonical: bool = Field(
        True, description="Take pages that name the same canonical URL of their site for one document."
    )
    max_pages: int = Field(
        50_000, ge=1, description="A listing with more pages than this counts as incomplete."
    )
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger pages are quarantined.")
    page_timeout_seconds: float = Field(120.0, gt=0, description="How long one page may take in all.")
    delay_seconds: float = Field(
        1.0, ge=0, description="Pause between requests to a host; longer where its robots.txt asks for it."
    )
    user_agent: str = Field(
        f"rag-assets/{version('rag-assets')}",
        min_length=1,
        pattern=r"^[\x20-\x7e]+$",
        description="Who is asking. What stands before the `/` is looked for in robots.txt.",
    )
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="Networks that are not public and may be read from, such as 10.1.0.0/16."
    )


@dataclass(slots=True)
class _Run:
    """What is known since the listing began.

    Attributes:
        listed: document path -> URL of what is a document, unless it turns out to be the same as another.
        met: URLs, whatever became of them.
        followed: URLs that are known from a link or a sitemap only -> the site on which they must stay.
        same_as: document path -> that of the document which it turned out to be.
        owners: document path of a canonical URL that is not listed itself -> that of the page which stands for it.
        bodies: what was fetched to find links, and has not been read yet.
        crawled: document paths that were added by following links.
        problems: why the listing is not complete.
    """

    listed: dict[str, str] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    followed: dict[str, str] = field(default_factory=dict)
    same_as: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, Reading] = field(default_factory=dict)
    kept_bytes: int = 0
    crawled: set[str] = field(default_factory=set)
    num_disallowed: int = 0
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end_of(self, path: str) -> str:
        """Return the document which a page turned out to be in the end."""
        while path in self.same_as:
            path = self.same_as[path]
        return path


@dataclass(frozen=True, slots=True)
class _Look:
    """What a page that may have links turned out to be; `is_page` is false if there is none."""

    url: str
    token: str = ""
    own_url: str = ""
    links: Sequence[str] = ()
    is_page: bool = True


class UrlsSource:
    """Web pages, and whatever else is behind a URL.

    A page is a document under the URL that it is listed by. Redirects and canonical links show that two URLs are the
    same page: then it is a document under the URL that is canonical, or else under the first one read.

    A page that answers 404 or 410 is gone. One that is forbidden, broken, too large or slow is unreadable, and its
    last good version stays. A host that fails three times in a row, its robots.txt included, is not asked again in
    this run: its pages are unreadable. When no host answers, the source is down. The listing is not complete, and so
    nothing is deleted, if a robots.txt, a sitemap or, when links are followed, a page that has never been read cannot
    be had.

    Whether a page changed, the server says (304, nothing is transferred). Servers without ETag and Last-Modified send
    it each time, and its hash says. Pages whose links are followed are asked for while they are listed.
    """

    Options: ClassVar[type[SourceOptions]] = UrlsOptions
    parallel_reads = _READERS  # of different hosts; one host is asked one question at a time

    def __init__(self, name: str, options: UrlsOptions) -> None:
        self.name = name
        self.options = options
        self._notes = PageNotes(None)
        self._run = _Run()

    def use_folder(self, folder: Path) -> None:
        """See `UsesFolder`."""
        self._notes = PageNotes(folder)

    @cached_property
    def _http(self) -> PoliteHttp:
        options = self.options
        http = SafeHttp(
            user_agent=options.user_agent,
            allow_networks=options.allow_networks,
            timeout_seconds=options.timeout_seconds,
            deadline_seconds=options.page_timeout_seconds,
        )
        return PoliteHttp(http, options.user_agent.partition("/")[0].strip(), options.delay_seconds)

    # Listing

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry a page, as far as links are followed after it was looked at.

        Raises:
            SourceUnavailable: not everything could be listed; raised after all that can be.
        """
        self._run = run = _Run()
        self._http.begin_run()
        same_as_others: list[tuple[SourceEntry, str]] = []
        links: list[str] = []
        for batch in self._listed_pages():
            yield from self._visit(batch, 0, links, same_as_others)
        for depth in range(1, self.options.crawl_depth + 1):
            links, found = [], links
            yield from self._visit(found, depth, links, same_as_others)
        for entry, own_url in same_as_others:
            if not self._is_another_document(entry.path, own_url):
                yield entry
            elif note := self._notes.get(entry.uri):
                self._notes.put(replace(note, same_as=run.same_as[entry.path]))
        if run.num_disallowed:
            _LOGGER.warning("source %s: robots.txt lets %d pages not be read", self.name, run.num_disallowed)
        if run.problems:
            first, others = run.problems[0], len(run.problems) - 1
            raise SourceUnavailable(
                f"source {self.name}: {first}" + (f" (and {others} more)" if others else "")
            )
        self._notes.keep_only(run.met)

    def _listed_pages(self) -> Iterator[list[str]]:
        """Yield canonical URLs in batches: of the file, the options and the sitemaps."""
        texts = [
            *((f"line {number} of {self.options.file}", text) for number, text in self._lines_of_file()),
            *(
                (f"number {number} of the option urls", text)
                for number, text in enumerate(self.options.urls, 1)
            ),
        ]
        written: list[str] = []
        for where, text in texts:
            try:
                written.append(canonical_url(text))
            except FetchRefused as error:
                self._run.problems.append(f"{where} cannot be fetched: {error}")
        for start in range(0, len(written), _BATCH):
            yield written[start : start + _BATCH]
        for sitemap in self.options.sitemaps:
            walk = SitemapWalk(self._fetch_sitemap)
            num_named = num_elsewhere = 0
            for pages in walk.pages(sitemap):
                canonical = [url for url in map(_canonical_or_none, pages) if url is not None]
                kept = self._found(canonical, sitemap)
                num_named += len(pages)
                num_elsewhere += len(pages) - len(kept)
                yield kept
            self._run.problems.extend(walk.problems)
            if num_elsewhere:
                skipped = (
                    f"{num_elsewhere} of the {num_named} pages of a sitemap are on other sites, or no URLs"
                )
                _LOGGER.warning("source %s: %s", self.name, skipped)
                if num_elsewhere == num_named:
                    self._run.problems.append(f"{skipped}: set the option same_site to false to read them")

    def _lines_of_file(self) -> list[tuple[int, str]]:
        path, options = self.options.file, self.options
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            if path != _DEFAULT_FILE or not (options.urls or options.sitemaps):
                self._run.problems.append(
                    f"there is no file {path}: write one URL a line into it, or set the option urls or sitemaps"
                )
            return []
        except (OSError, UnicodeDecodeError) as error:
            self._run.problems.append(f"{path} cannot be read ({type(error).__name__})")
            return []
        words = ((number, line.split()) for number, line in enumerate(lines, 1))
        return [(number, line[0]) for number, line in words if line and not line[0].startswith("#")]

    def _fetch_sitemap(self, url: str) -> bytes:
        answer = self._http.get(url, max_bytes=MAX_SITEMAP_BYTES)
        if answer.status != 200:
            raise FetchFailed(f"it answers {answer.status}")
        return answer.body

    def _found(self, urls: Iterable[str], where: str) -> list[str]:
        """Return those that may be followed from a page or a sitemap, and note that they are only known from there."""
        run, site = self._run, site_of(where)
        kept = [url for url in urls if not self.options.same_site or site_of(url) == site]
        for url in kept:
            if document_path(url) not in run.listed:
                run.followed.setdefault(url, site)
        return kept

    def _visit(
        self,
        urls: Sequence[str],
        depth: int,
        links: list[str],
        same_as_others: list[tuple[SourceEntry, str]],
    ) -> Iterator[SourceEntry]:
        """Yield those that are new and are pages, and add what they link to."""
        run, options = self._run, self.options
        new = self._new(urls)
        threads = ThreadPoolExecutor(_READERS, f"list-{self.name}")
        try:
            allowed = threads.map(self._may_fetch, new)
            pages = [url for url, may in zip(new, allowed, strict=True) if may]
            looks = map(_Look, pages) if depth >= options.crawl_depth else threads.map(self._look_at, pages)
            for look in looks:
                if not look.is_page:
                    run.listed.pop(document_path(look.url), None)
                    continue
                entry = self._entry(look)
                if look.own_url in ("", look.url):
                    yield entry
                else:
                    same_as_others.append((entry, look.own_url))
                links.extend(self._links_to_follow(look))
        finally:
            threads.shutdown(cancel_futures=True)

    def _new(self, urls: Iterable[str]) -> list[str]:
        """Return those that were not met before, hosts taking turns, so that they can be asked at the same time."""
        run, hosts = self._run, dict[str, list[str]]()
        for url in urls:
            path = document_path(url)
            if path in run.listed or url.startswith(self.options.exclude):
                continue
            if len(run.listed) >= self.options.max_pages:
                run.problems.append(
                    f"there are more than {self.options.max_pages} pages: raise the option max_pages"
                )
                break
            run.listed[path] = url
            run.met.add(url)
            hosts.setdefault(origin_of(url), []).append(url)
        return [url for url in chain.from_iterable(zip_longest(*hosts.values())) if url is not None]

    def _may_fetch(self, url: str) -> bool:
        run = self._run
        try:
            if self._http.allows(url):
                return True
            problem = ""
        except HostDown as error:
            problem = str(error)
        with run.lock:
            run.listed.pop(document_path(url), None)
            if not problem:
                run.num_disallowed += 1
            elif problem not in run.problems:
                run.problems.append(problem)
        return False

    def _look_at(self, url: str) -> _Look:
        """Fetch a page for its links, unless it still is as it was."""
        note = self._notes.get(url)
        known = Validators.from_token(note.token) if note else None
        links = note.links if note else ()
        try:
            answer = self._get(url, known)
        except (FetchRefused, ResponseTooLarge):
            return _Look(url, links=links)
        except FetchFailed as error:
            return self._unknown_links(url, note, str(error))
        if answer.status == 304 and note is not None and known is not None:
            return _Look(url, note.token, known.own_url, links)
        if answer.status == 200:
            found = self._links_of(answer)
            reading = self._reading(url, answer, found)
            self._notes.put(PageNote(url, reading.version_token, found.links))
            self._keep(url, reading)
            return _Look(url, reading.version_token, self._own_url(url, answer, found), found.links)
        if answer.status in _GONE:
            return _Look(url, is_page=False)
        if answer.status == 429 or answer.status >= 500:
            return self._unknown_links(url, note, f"{_shown(url)} answers {answer.status}")
        return _Look(url, links=links)

    def _unknown_links(self, url: str, note: PageNote | None, problem: str) -> _Look:
        if note is None:
            with self._run.lock:
                self._run.problems.append(f"what {_shown(url)} links to is not known: {problem}")
            return _Look(url)
        return _Look(url, links=note.links)

    def _links_to_follow(self, look: _Look) -> list[str]:
        run = self._run
        links: list[str] = []
        for url in self._found(filter(may_be_page, look.links), look.url):
            path = document_path(url)
            if path in run.listed or path in run.crawled or len(run.crawled) >= self.options.crawl_pages:
                continue
            run.crawled.add(path)
            links.append(url)
        return links

    def _keep(self, url: str, reading: Reading) -> None:
        """Keep what was fetched for its links until it is read, as far as there is room."""
        with self._run.lock:
            if self._run.kept_bytes + len(reading.data) <= _MOST_KEPT_BYTES:
                self._run.kept_bytes += len(reading.data)
                self._run.bodies[url] = reading

    def _entry(self, look: _Look) -> SourceEntry:
        path = document_path(look.url)
        return SourceEntry(
            document_id=f"{self.name}:{path}",
            source=self.name,
            uri=look.url,
            path=path,
            filename=filename_of(look.url),
            version_token=look.token,
            size_bytes=0,
        )

    # Reading

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one page.

        Returns:
            None if the server says that it is as before, or sends the same bytes and nothing to tell them by.

        Raises:
            DocumentGone: it is not there any more, or is the same as another document.
            DocumentUnreadable: this page cannot be read; hosts are asked.
            SourceUnavailable: no host answers.
        """
        url = entry.uri
        with self._run.lock:
            kept = self._run.bodies.pop(url, None)
            self._run.kept_bytes -= len(kept.data) if kept else 0
        if kept is not None:
            return None if kept.version_token == known_token else kept
        note = self._notes.get(url)
        known = Validators.from_token(known_token or (note.token if note else ""))
        answer = self._page(url, known)
        if answer.status == 304 and known is not None:
            same_as = note.same_as if note and not known_token else ""
            if (same_as and same_as in self._run.listed) or self._is_another_document(
                entry.path, known.own_url or url
            ):
                raise DocumentGone("It is the same page as another document.")
            if known_token:
                return None
            answer = self._page(url, None)  # it is a document of its own now
        found = self._links_of(answer)
        reading = self._reading(url, answer, found)
        if self._is_another_document(entry.path, self._own_url(url, answer, found)):
            note = PageNote(url, reading.version_token, found.links, self._run.same_as.get(entry.path, ""))
            self._notes.put(note)
            raise DocumentGone("It is the same page as another document.")
        return None if reading.version_token == known_token else reading

    def why_not_listed(self, name: str) -> str | None:
        """See `ExplainsWhatItSkips`. Asks nobody."""
        name = name.removeprefix(f"{self.name}:")
        written = (name,) if "://" in name else (f"https://{name}", f"http://{name}")
        for url in filter(None, map(_canonical_or_none, written)):
            note = self._notes.get(url)
            if note and note.same_as:
                return f"it says that it is the same page as {note.same_as}"
            if url.startswith(self.options.exclude):
                return "it is left out by the option exclude"
        return None

    def _get(self, url: str, known: Validators | None) -> Answer:
        site = self._run.followed.get(url) if self.options.same_site else None
        return self._http.get(
            url,
            max_bytes=self.options.max_bytes,
            headers=known.conditions() if known else None,
            may_lead_to=lambda target: site is None or site_of(target) == site,
        )

    def _page(self, url: str, known: Validators | None) -> Answer:
        """Return an answer with a page, or 304 if `known` still holds."""
        try:
            answer = self._get(url, known)
        except HostDown as error:
            if self._http.everything_is_down:
                raise SourceUnavailable(f"source {self.name}: {error}") from None
            raise DocumentUnreadable("unreadable", f"{error}.") from None
        except (FetchFailed, FetchRefused) as error:
            raise DocumentUnreadable("unreadable", f"{error}.") from None
        except ResponseTooLarge:
            raise DocumentUnreadable(
                "too_large", f"The limit is {self.options.max_bytes / 1e6:.0f} MB."
            ) from None
        if answer.status == 200 or (answer.status == 304 and known is not None):
            return answer
        if answer.status in _GONE:
            raise DocumentGone(f"It answers {answer.status}.")
        raise DocumentUnreadable("unreadable", f"It answers {answer.status}.")

    def _reading(self, url: str, answer: Answer, found: PageLinks) -> Reading:
        content_type = answer.headers.get("content-type", "")
        own_url = self._own_url(url, answer, found)
        validators = Validators.of(answer.body, answer.headers, "" if own_url == url else own_url)
        return Reading(
            _as_declared(answer.body, content_type),
            filename=filename_of(url, content_type),
            version_token=validators.token(),
        )

    def _links_of(self, answer: Answer) -> PageLinks:
        if not answer.headers.get("content-type", "").lower().startswith(_HTML):
            return PageLinks()
        found = page_links(answer.body, answer.url)
        return found if self.options.crawl_depth else replace(found, links=())

    # One document a page

    def _own_url(self, url: str, answer: Answer, found: PageLinks) -> str:
        """Return the URL that a page has for itself: after redirects, or by a canonical link that stays on its site."""
        own = _canonical_or_none(answer.url) or url
        if self.options.use_canonical and found.canonical and site_of(found.canonical) == site_of(own):
            return found.canonical
        return own

    def _is_another_document(self, path: str, own_url: str) -> bool:
        """Return whether a page is a document under another URL already, and claim it for this one if not.

        Two pages that each call the other canonical remain one document.
        """
        run, own = self._run, document_path(own_url)
        with run.lock:
            own = run.end_of(own)
            owner = own if own in run.listed else run.end_of(run.owners.setdefault(own, path))
            if path in (own, owner):
                return False
            run.same_as[path] = owner
            run.listed.pop(path, None)
            return True


def _canonical_or_none(text: str) -> str | None:
    try:
        return canonical_url(text)
    except FetchRefused:
        return None


def _shown(url: str) -> str:
    """Without the query, which may hold a secret."""
    return url.partition("?")[0]


def _as_declared(body: bytes, content_type: str) -> bytes:
    """Return a text in the encoding that its server declares as UTF-8 with a mark, which parsers go by first."""
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'")
    if not media_type.strip().startswith("text/") or not charset or body.startswith(codecs.BOM_UTF8):
        return body
    try:
        if codecs.lookup(charset).name == "utf-8":
            return body  # which parsers try first
        return codecs.BOM_UTF8 + body.decode(charset).encode()
    except (LookupError, ValueError):
        return body
