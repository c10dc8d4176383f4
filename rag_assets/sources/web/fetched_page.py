"""An answer with a page -> its bytes as a document, its own URL, its links, its language."""

import codecs
import re
from dataclasses import dataclass, replace

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import FetchRefused
from rag_assets.safe_http import Answer
from rag_assets.secret_values import without_these
from rag_assets.sources.base import Reading
from rag_assets.sources.content_language import content_languages
from rag_assets.sources.url_identity import UrlIdentity
from rag_assets.sources.web.canonical import canonical_url, filename_of, site_of
from rag_assets.sources.web.page_links import PageLinks, page_links
from rag_assets.sources.web.validators import Validators

_HTML = ("text/html", "application/xhtml+xml")
_MOST_BYTES_OF_HEAD = 64 * 1024
_OWN_LANGUAGE = re.compile(rb"<html\s(?:[^<>]{0,4000}\s)?(?:xml:)?lang\s*=", re.IGNORECASE)


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
    is_html = content_type.lower().startswith(_HTML)
    if is_html:
        found = page_links(answer.body, answer.url)
        found = found if with_links else replace(found, links=())
    own_url = identity.of(canonical_or_none(answer.url) or url)
    if use_canonical and found.canonical and site_of(found.canonical) == site_of(own_url):
        own_url = identity.of(found.canonical)
    is_requested = own_url == identity.of(url)
    body = _without_its_secrets(answer.body, identity, url, answer.url)
    validators = Validators.of(body, answer.headers, "" if is_requested else own_url)
    reading = Reading(
        _as_declared(body, content_type),
        filename=filename_of(url, content_type),
        version_token=validators.token(),
        metadata=_metadata(answer, is_html=is_html),
    )
    return FetchedPage(reading, own_url, found.links)


def _metadata(answer: Answer, *, is_html: bool) -> Metadata:
    """Return the language in the headers, unless the page itself has one: servers often send a default."""
    language = content_languages(answer.headers.get("content-language"))
    if language is None or (is_html and _OWN_LANGUAGE.search(answer.body[:_MOST_BYTES_OF_HEAD])):
        return NO_METADATA
    return normalized({"language": language})


def _without_its_secrets(body: bytes, identity: UrlIdentity, *urls: str) -> bytes:
    """Return a page without the secrets of its address, which many pages show: in a link to themselves, in a form.

    Without its signature, a page is also the same bytes each time.
    """
    secrets = {secret for url in urls for secret in identity.secrets_in(url)}
    if not secrets or b"\0" in body or body.startswith(b"%PDF"):
        return body
    text = body.decode("latin-1")  # any bytes, and the same again
    shown = without_these(text, secrets)
    return body if shown == text else shown.encode("latin-1")


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
