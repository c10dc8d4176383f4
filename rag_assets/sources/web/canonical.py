"""The canonical form of a URL, and its derived values: site, document path, filename."""

import mimetypes
import re

from rag_assets.parsers.registry import asks_by_name, supported_suffixes
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
# Vague types: the suffix of the name is more precise.
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
    """Return the canonical form of a URL: absolute, without fragment, default port and tracking parameters.

    Raises:
        FetchRefused: see `parse_url`.
    """
    url = parse_url(text, parse_url(base) if base else None)
    path, _, query = url.raw_path.decode("ascii").partition("?")
    kept = "&".join(pair for pair in query.split("&") if pair and not _TRACKING.match(pair))
    return f"{origin_of(str(url))}{_escaped_once(path) or '/'}" + (f"?{_escaped_once(kept)}" if kept else "")


def origin_of(url: str) -> str:
    """Return scheme, host and port. Each origin has its own robots.txt."""
    parsed = parse_url(url)
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def site_of(url: str) -> str:
    """Return host and port, without `www.`. Two URLs with the same value are on one site."""
    return parse_url(url).netloc.decode("ascii").removeprefix("www.")


def document_path(url: str) -> str:
    """Return the document path of a canonical URL. It is the same for http and https."""
    return url.partition("://")[2]


def filename_of(url: str, content_type: str | None = None) -> str:
    """Return a filename with the suffix of its format.

    Args:
        content_type: from the server, or None before the request: then a page is assumed.
    """
    name = document_path(url).partition("?")[0].partition("/")[2].rpartition("/")[2] or "index"
    known = name.lower().endswith(tuple(supported_suffixes()))
    if content_type is None and asks_by_name(name) is not None:
        known = False  # `File:Plan.png` in a wiki is often a page about a picture
    media_type = "text/html" if content_type is None else content_type.partition(";")[0].strip().lower()
    if known and (content_type is None or media_type in _VAGUE_TYPES):
        return name
    suffix = _SUFFIX_OF_TYPE.get(media_type) or mimetypes.guess_extension(media_type) or ""
    return name if name.lower().endswith(suffix) else name + suffix


def may_be_page(url: str) -> bool:
    """Return whether a link may lead to a document: its name is not of a picture, a script or an archive."""
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
