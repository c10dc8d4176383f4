"""Which URLs may be asked for at all: those that every program reads in the same way.

`127.1`, `0x7f.1` and `2130706433` are addresses to some resolvers and names to others; userinfo, backslashes and
full-width digits make one host look like another. Nobody needs them, so they are refused rather than understood.
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
        text: as written on a page, in a header or in a file.
        base: what a relative reference is relative to.

    Raises:
        FetchRefused: it is not such a URL, or its host could be taken for another one.
    """
    from httpx2 import URL, InvalidURL

    text = text.strip()
    if len(text) > MAX_URL_CHARACTERS:
        raise FetchRefused(f"a URL has more than {MAX_URL_CHARACTERS} characters")
    if "\\" in text or any(not character.isprintable() for character in text):
        raise FetchRefused("a URL holds a backslash or a control character")
    try:
        url = URL(text) if base is None else base.join(text)
    except (InvalidURL, ValueError):
        raise FetchRefused("it is not a URL that can be read in only one way") from None
    if url.scheme not in ("http", "https"):
        raise FetchRefused("it is not a URL of http or https")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise FetchRefused("a URL holds a user name or a password")
    if url.port is not None and not 0 < url.port <= _MAX_PORT:
        raise FetchRefused("a URL has a port that does not exist")
    check_host(url.raw_host.decode("ascii", "replace"))
    return url.copy_with(fragment=None)


def check_host(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, None if it is a name.

    Args:
        host: lower case, in ASCII, an IPv6 address without brackets.

    Raises:
        FetchRefused: it is neither, or is an address to some programs only.
    """
    if ":" in host:
        try:
            address = IPv6Address(host)
        except AddressValueError:
            raise FetchRefused("the host of a URL is not an IPv6 address") from None
        if address.scope_id is not None:
            raise FetchRefused("the host of a URL is an address with a zone")
        return address
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchRefused("the host of a URL is not a name")
    # A name may hold numbers, but not end with one: then a resolver may take it for an address.
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise FetchRefused("the host of a URL is an address in a form that nobody needs") from None
