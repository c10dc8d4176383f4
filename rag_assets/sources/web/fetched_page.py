"""An answer with a page -> its bytes as a document, its own URL, its links."""

import codecs
from dataclasses import dataclass, replace

from rag_assets.errors import FetchRefused
from rag_assets.safe_http import Answer
from rag_assets.sources.base import Reading
from rag_assets.sources.url_identity import UrlIdentity
from rag_assets.sources.web.canonical import canonical_url, filename_of, site_of
from rag_assets.sources.web.page_links import PageLinks, page_links
from rag_assets.sources.web.validators import Validators

_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page with status 200.

    Attributes:
        own_url: URL after redirects, or a canonical link on the same site, without secrets.
        links: canonical URLs, empty unless they are followed.
    """

    reading: Reading
    own_url: str
    links: tuple[str, ...]


def fetched_page(
    url: str, answer: Answer, identity: UrlIdentity, *, use_canonical: bool, with_links: bool
) -> FetchedPage:
    """Return the page in an answer.

    Args:
        url: as requested, before redirects.
        identity: removes secrets from the page's own URL, which is part of the version token.
        use_canonical: whether canonical links count.
    """
    content_type = answer.headers.get("content-type", "")
    found = PageLinks()
    if content_type.lower().startswith(_HTML):
        found = page_links(answer.body, answer.url)
        found = found if with_links else replace(found, links=())
    own_url = identity.of(canonical_or_none(answer.url) or url)
    if use_canonical and found.canonical and site_of(found.canonical) == site_of(own_url):
        own_url = identity.of(found.canonical)
    is_requested = own_url == identity.of(url)
    validators = Validators.of(answer.body, answer.headers, "" if is_requested else own_url)
    reading = Reading(
        _as_declared(answer.body, content_type),
        filename=filename_of(url, content_type),
        version_token=validators.token(),
    )
    return FetchedPage(reading, own_url, found.links)


def canonical_or_none(text: str) -> str | None:
    """Return a canonical URL, or None if this is not a URL to fetch."""
    try:
        return canonical_url(text)
    except FetchRefused:
        return None


def _as_declared(body: bytes, content_type: str) -> bytes:
    """Return a text as UTF-8 with a byte order mark, decoded with the charset declared by its server.

    Parsers look for the mark first, so the server's charset wins over any guess.
    """
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'")
    if not media_type.strip().startswith("text/") or not charset or body.startswith(codecs.BOM_UTF8):
        return body
    try:
        if codecs.lookup(charset).name == "utf-8":
            return body  # parsers try it first
        return codecs.BOM_UTF8 + body.decode(charset).encode()
    except (LookupError, ValueError):
        return body
