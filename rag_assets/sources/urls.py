"""Web pages: those of a list, those of sitemaps, and pages linked from there.

Documents are chosen here: listed pages, equal pages, and the meaning of an answer for a document.
Requests to hosts are made in `sources/web`, connections in `safe_http`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import ClassVar

from rag_assets.errors import (
    DocumentGone,
    DocumentUnreadable,
    FetchFailed,
    FetchRefused,
    ResponseTooLarge,
    SourceUnavailable,
)
from rag_assets.records import Outage, SourceEntry
from rag_assets.safe_http import Answer, SafeHttp
from rag_assets.sources.base import Reading, SourceOptions
from rag_assets.sources.url_identity import UrlIdentity
from rag_assets.sources.web.canonical import (
    document_path,
    filename_of,
    may_be_page,
    origin_of,
    site_of,
)
from rag_assets.sources.web.fetched_page import FetchedPage, canonical_or_none, fetched_page
from rag_assets.sources.web.options import UrlsOptions
from rag_assets.sources.web.outages import outages_of
from rag_assets.sources.web.page_answer import GONE, require_page
from rag_assets.sources.web.page_notes import PageNote, PageNotes
from rag_assets.sources.web.polite_requests import HostDown, PoliteHttp
from rag_assets.sources.web.run import Run
from rag_assets.sources.web.sitemaps import MAX_SITEMAP_BYTES, SitemapWalk
from rag_assets.sources.web.start_urls import sitemap_urls, written_urls
from rag_assets.sources.web.validators import Validators
from rag_assets.text.wording import counted

_LOGGER = logging.getLogger(__name__)

_BATCH = 256
_READERS = 8


@dataclass(frozen=True, slots=True)
class _Look:
    """A listed page after a look at its links.

    Attributes:
        is_page: False if there is no page behind the URL.
    """

    url: str
    token: str = ""
    own_url: str = ""
    links: Sequence[str] = ()
    is_page: bool = True


class UrlsSource:
    """Web pages, and any other files behind URLs.

    A page is a document under its listed URL. Redirects and canonical links reveal equal pages. They become one document
    under the canonical URL, or else under the first URL read.

    A page with status 404 or 410 is gone. A page that is forbidden, broken, too large or slow is unreadable, and its
    last good version stays. After three failures in a row, if robots.txt fails too, a host is closed for this run,
    and its pages are unreadable. A host whose robots.txt cannot be read is an outage of its pages. The source is down if no
    host answers. The listing is incomplete if a new sitemap, or with crawling a new page, cannot be read.

    The server knows whether a page changed: it answers 304, and transfers nothing. A server without ETag and
    Last-Modified sends the page each time, and a hash of the page is compared. With crawling, pages are fetched during
    the listing.
    """

    Options: ClassVar[type[SourceOptions]] = UrlsOptions
    parallel_reads = _READERS  # of different hosts; each host gets one request at a time

    def __init__(self, name: str, options: UrlsOptions) -> None:
        self.name = name
        self.options = options
        self._notes = PageNotes(None)
        self._run = Run()
        self._identity = UrlIdentity(options.signature_parameters)

    def use_key(self, key: Callable[[], str]) -> None:
        """See `IdentifiesUrls`."""
        self._identity = UrlIdentity(self.options.signature_parameters, key)

    def path_now(self, path: str) -> str:
        """See `IdentifiesUrls`."""
        return self._identity.of(path)

    def _path(self, url: str) -> str:
        return document_path(self._identity.of(url))

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
        """Yield one entry per page. With crawling, each page is fetched before.

        Raises:
            SourceUnavailable: the listing is incomplete. Raised after all available entries.
        """
        self._run = run = Run()
        self._http.begin_run()
        same_as_others: list[tuple[SourceEntry, str]] = []
        links: list[str] = []
        for batch in self._listed_pages():
            yield from self._visit(batch, 0, links, same_as_others)
        for depth in range(1, self.options.crawl_depth + 1):
            links, found = [], links
            yield from self._visit(found, depth, links, same_as_others)
        for entry, own_url in same_as_others:
            if not run.is_another_document(entry.path, own_url):
                yield entry
            elif note := self._notes.get(entry.uri):
                self._remember(replace(note, same_as=run.same_as[entry.path]))
        if run.num_disallowed:
            _LOGGER.warning(
                "source %s: %s not read, because robots.txt disallows it",
                self.name,
                counted(run.num_disallowed, "page"),
            )
        if run.closed_sites and not run.listed:
            run.problems.extend(run.closed_sites.values())
            run.closed_sites.clear()
        if run.problems:
            first, others = run.problems[0], len(run.problems) - 1
            more = f" (and {counted(others, 'more problem')})" if others else ""
            raise SourceUnavailable(f"source {self.name}: {first}{more}")
        self._notes.keep_only(run.met)

    def _listed_pages(self) -> Iterator[list[str]]:
        """Yield canonical URLs in batches, from the file, the option `urls` and the sitemaps."""
        options, problems = self.options, self._run.problems
        file_is_required = "file" in options.model_fields_set or not (options.urls or options.sitemaps)
        written = written_urls(options.file, options.urls, problems, file_is_required=file_is_required)
        for start in range(0, len(written), _BATCH):
            yield written[start : start + _BATCH]
        for sitemap in options.sitemaps:
            kept_of = partial(self._found, where=sitemap)
            walk = SitemapWalk(self._fetch_sitemap, self._notes, self._identity)
            yield from sitemap_urls(self.name, sitemap, walk, kept_of, problems)
            self._run.met |= walk.met
            self._run.failed_sitemaps.extend(walk.failed)

    def _fetch_sitemap(self, url: str) -> bytes:
        answer = self._http.get(url, max_bytes=MAX_SITEMAP_BYTES)
        if answer.status != 200:
            raise FetchFailed(f"status {answer.status}")
        return answer.body

    def _found(self, urls: Iterable[str], where: str) -> list[str]:
        """Return the URLs to follow from a page or a sitemap, and remember the site they must stay on."""
        run, site = self._run, site_of(where)
        kept = [url for url in urls if not self.options.same_site or site_of(url) == site]
        for url in kept:
            if self._path(url) not in run.listed:
                run.followed.setdefault(url, site)
        return kept

    def _visit(
        self,
        urls: Sequence[str],
        depth: int,
        links: list[str],
        same_as_others: list[tuple[SourceEntry, str]],
    ) -> Iterator[SourceEntry]:
        """Yield the new pages among these URLs, and collect their links."""
        run, options = self._run, self.options
        new = self._new(urls)
        threads = ThreadPoolExecutor(_READERS, f"list-{self.name}")
        try:
            allowed = threads.map(self._may_fetch, new)
            pages = [url for url, may in zip(new, allowed, strict=True) if may]
            looks = map(_Look, pages) if depth >= options.crawl_depth else threads.map(self._look_at, pages)
            for look in looks:
                if not look.is_page:
                    run.listed.pop(self._path(look.url), None)
                    continue
                entry = self._entry(look)
                if look.own_url in ("", entry.uri):
                    yield entry
                else:
                    same_as_others.append((entry, look.own_url))
                links.extend(self._links_to_follow(look))
        finally:
            threads.shutdown(cancel_futures=True)

    def _new(self, urls: Iterable[str]) -> list[str]:
        """Return the URLs not met before. Hosts take turns in the result, so several can be asked at once."""
        run, hosts = self._run, dict[str, list[str]]()
        for url in urls:
            path = self._path(url)
            if path in run.listed or url.startswith(self.options.exclude):
                continue
            if len(run.listed) >= self.options.max_pages:
                run.problems.append(
                    f"there are more than {self.options.max_pages} pages. Raise the option max_pages"
                )
                break
            run.listed[path] = run.addresses[path] = url
            run.met.add(self._identity.of(url))
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
            run.listed.pop(self._path(url), None)
            if not problem:
                run.num_disallowed += 1
            else:
                run.closed_sites[origin_of(url)] = problem
        return False

    def _look_at(self, url: str) -> _Look:
        """Fetch a page for its links, unless it is unchanged."""
        note = self._notes.get(self._identity.of(url))
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
            page = self._fetched(url, answer)
            token = page.reading.version_token
            self._remember(PageNote(self._identity.of(url), token, page.links))
            self._run.keep(url, page.reading)
            return _Look(url, token, page.own_url, page.links)
        if answer.status in GONE:
            return _Look(url, is_page=False)
        if answer.status == 429 or answer.status >= 500:
            return self._unknown_links(url, note, f"status {answer.status}")
        return _Look(url, links=links)

    def _unknown_links(self, url: str, note: PageNote | None, problem: str) -> _Look:
        if note is None:
            shown = url.partition("?")[0]  # the query may hold a secret
            with self._run.lock:
                self._run.problems.append(f"the links of {shown} are unknown: {problem}")
            return _Look(url)
        return _Look(url, links=note.links)

    def _links_to_follow(self, look: _Look) -> list[str]:
        run = self._run
        links: list[str] = []
        for url in self._found(filter(may_be_page, look.links), look.url):
            path = self._path(url)
            if path in run.listed or path in run.crawled or len(run.crawled) >= self.options.crawl_pages:
                continue
            run.crawled.add(path)
            links.append(url)
        return links

    def _entry(self, look: _Look) -> SourceEntry:
        identity = self._identity.of(look.url)
        path = document_path(identity)
        return SourceEntry(
            document_id=f"{self.name}:{path}",
            source=self.name,
            uri=identity,
            path=path,
            filename=filename_of(look.url),
            version_token=look.token,
            size_bytes=0,
        )

    # Reading

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one page.

        Returns:
            None if the server answers 304, or sends the same bytes without ETag and Last-Modified.

        Raises:
            DocumentGone: the page is gone, or is the same as another document.
            DocumentUnreadable: this page cannot be read, others can.
            SourceUnavailable: no host answers.
        """
        url = self._run.addresses.get(entry.path, entry.uri)
        kept = self._run.take(url)
        if kept is not None:
            return None if kept.version_token == known_token else kept
        note = self._notes.get(entry.uri)
        known = Validators.from_token(known_token or (note.token if note else ""))
        answer = self._answer(url, known)
        if answer.status == 304 and known is not None:
            same_as = note.same_as if note and not known_token else ""
            if (same_as and same_as in self._run.listed) or self._run.is_another_document(
                entry.path, known.own_url or entry.uri
            ):
                raise DocumentGone("It is the same page as another document.")
            if known_token:
                return None
            answer = self._answer(url, None)  # a document of its own by now
        page = self._fetched(url, answer)
        token = page.reading.version_token
        if self._run.is_another_document(entry.path, page.own_url):
            self._remember(PageNote(entry.uri, token, page.links, self._run.same_as.get(entry.path, "")))
            raise DocumentGone("It is the same page as another document.")
        return None if token == known_token else page.reading

    def outages(self) -> list[Outage]:
        """See `FailsInParts`. Each is a site or a sitemap."""
        # Pages linked from missing pages may be missing as well, anywhere.
        return outages_of(self.name, self._run, self._path, keeps_all=self.options.crawl_depth > 0)

    def same_documents(self) -> dict[str, str]:
        """See `FindsSameDocuments`."""
        return self._run.documents_of_same_pages()

    def why_not_listed(self, name: str) -> str | None:
        """See `ExplainsWhatItSkips`. Sends no request."""
        name = name.removeprefix(f"{self.name}:")
        written = (name,) if "://" in name else (f"https://{name}", f"http://{name}")
        for url in filter(None, map(canonical_or_none, written)):
            note = self._notes.get(self._identity.of(url))
            if note and note.same_as:
                return f"it is the same page as {note.same_as}, by a redirect or its canonical link"
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

    def _answer(self, url: str, known: Validators | None) -> Answer:
        """Return an answer with a page, or with 304 if the page is as known."""
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
        require_page(answer, is_known=known is not None)
        return answer

    def _fetched(self, url: str, answer: Answer) -> FetchedPage:
        options = self.options
        return fetched_page(
            url,
            answer,
            self._identity,
            use_canonical=options.use_canonical,
            with_links=options.crawl_depth > 0,
        )

    def _remember(self, note: PageNote) -> None:
        # Links with secrets are not stored. Such a page is fetched again each time.
        if all(self._identity.of(link) == link for link in note.links):
            self._notes.put(note)
