"""URLs with only one reading. All others are refused.

`127.1`, `0x7f.1` and `2130706433` are addresses to some resolvers and names to others. User names, backslashes and
full-width digits make one host look like another. No honest URL needs them, so they are refused rather than parsed.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from rag_assets.errors import FetchRefused

if TYPE_CHECKING:
    from httpx2 import URL

MAX_URL_CHARACTERS = 4_000
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_HOST_CHARACTERS = 253
_MAX_PORT = 65_535


def parse_url(text: str, base: "URL | None" = None) -> "URL":
    """Return an absolute `http` or `https` URL without a fragment.

    Args:
        text: from a page, a header or a file.
        base: base of a relative reference.

    Raises:
        FetchRefused: not such a URL, or a host that looks like another one.
    """
    from httpx2 import URL, InvalidURL

    text = text.strip()
    if len(text) > MAX_URL_CHARACTERS:
        raise FetchRefused(f"the URL has more than {MAX_URL_CHARACTERS:,} characters")
    if "\\" in text or any(not character.isprintable() for character in text):
        raise FetchRefused("the URL has a backslash or a control character")
    try:
        url = URL(text) if base is None else base.join(text)
    except (InvalidURL, ValueError):
        raise FetchRefused("invalid or ambiguous URL") from None
    if url.scheme not in ("http", "https"):
        raise FetchRefused("not an http or https URL")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise FetchRefused("the URL has a user name or a password")
    if url.port is not None and not 0 < url.port <= _MAX_PORT:
        raise FetchRefused("the URL has an invalid port")
    check_host(url.raw_host.decode("ascii", "replace"))
    return url.copy_with(fragment=None)


def check_host(host: str) -> IPv4Address | IPv6Address | None:
    """Return a host as an address, or None for a name.

    Args:
        host: in lower case and ASCII, an IPv6 address without brackets.

    Raises:
        FetchRefused: neither a name nor an address, or an address for some programs only.
    """
    if ":" in host:
        try:
            address = IPv6Address(host)
        except AddressValueError:
            raise FetchRefused("invalid IPv6 address in the URL's host") from None
        if address.scope_id is not None:
            raise FetchRefused("IPv6 address with a zone in the URL's host")
        return address
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchRefused("invalid host name in the URL")
    # A name may contain numbers, but not end with one: a resolver could read it as an address.
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise FetchRefused("non-standard IP address notation in the URL's host") from None
