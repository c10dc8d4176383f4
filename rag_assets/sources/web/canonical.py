"""One way to write each URL, and what follows from a URL: its site, the path of its document, a filename."""

import mimetypes
import re

from rag_assets.parsers import asks_by_name, supported_suffixes
from rag_assets.safe_http.urls import parse_url

_TRACKING = re.compile(r"(utm_[a-z_]+|gclid|dclid|fbclid|msclkid|mc_cid|mc_eid)(=|$)", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SUFFIX_OF_TYPE = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/pdf": ".pdf",
}
# Says no more than that it is text, or bytes: then the name knows better.
_VAGUE_TYPES = frozenset(("", "text/plain", "application/octet-stream", "binary/octet-stream"))
_NO_DOCUMENTS = ("image/", "audio/", "video/", "font/")
_NO_DOCUMENT_TYPES = frozenset(
    ("text/css", "text/javascript", "application/javascript", "application/zip", "application/x-tar")
)
_NO_DOCUMENT_SUFFIXES = (
    ".gz",
    ".tgz",
    ".bz2",
    ".xz",
    ".zst",
    ".7z",
    ".rar",
    ".exe",
    ".dmg",
    ".iso",
    ".woff2",
)


def canonical_url(text: str, base: str = "") -> str:
    """Return an absolute URL as it is written here: without fragment, default port and what counts visitors.

    Raises:
        FetchRefused: see `parse_url`.
    """
    url = parse_url(text, parse_url(base) if base else None)
    path, _, query = url.raw_path.decode("ascii").partition("?")
    kept = "&".join(pair for pair in query.split("&") if pair and not _TRACKING.match(pair))
    return f"{origin_of(str(url))}{_escaped_once(path) or '/'}" + (f"?{_escaped_once(kept)}" if kept else "")


def origin_of(url: str) -> str:
    """Return scheme, host and port: what has a robots.txt of its own."""
    parsed = parse_url(url)
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def site_of(url: str) -> str:
    """Return what two URLs of one site have in common: host, without `www.`, and port."""
    return parse_url(url).netloc.decode("ascii").removeprefix("www.")


def document_path(url: str) -> str:
    """Return the path of the document of a canonical URL; the same for http and https."""
    return url.partition("://")[2]


def filename_of(url: str, content_type: str | None = None) -> str:
    """Return a filename whose ending tells the kind of document.

    Args:
        content_type: as the server says; None before it was asked. A page is then assumed.
    """
    name = document_path(url).partition("?")[0].partition("/")[2].rpartition("/")[2] or "index"
    known = name.lower().endswith(tuple(supported_suffixes()))
    if content_type is None and asks_by_name(name) is not None:
        known = False  # `File:Plan.png` of a wiki is a page about a picture as often as not
    media_type = "text/html" if content_type is None else content_type.partition(";")[0].strip().lower()
    if known and (content_type is None or media_type in _VAGUE_TYPES):
        return name
    suffix = _SUFFIX_OF_TYPE.get(media_type) or mimetypes.guess_extension(media_type) or ""
    return name if name.lower().endswith(suffix) else name + suffix


def may_be_page(url: str) -> bool:
    """Return whether something behind a link could be a document: no picture, script or archive by its name."""
    path = url.partition("?")[0].lower()
    media_type = mimetypes.guess_type(path)[0] or ""
    return not (
        media_type.startswith(_NO_DOCUMENTS)
        or media_type in _NO_DOCUMENT_TYPES
        or path.endswith(_NO_DOCUMENT_SUFFIXES)
    )


def _escaped_once(text: str) -> str:
    def written(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"

    return _ESCAPE.sub(written, text)
