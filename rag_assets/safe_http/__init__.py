"""Requests to URLs written by others, to public addresses only.

The author of a page also writes its links and redirects, and the owner of a name decides its address. So no name is
trusted. `urls` refuses ambiguous URLs. `addresses` lists the addresses outside of the public Internet. `connections`
resolves a name once, and connects to exactly the checked address. `client` follows redirects, with the same checks for
each, and limits bytes and time. robots.txt and pauses are not its business.
"""

from rag_assets.safe_http.client import Answer, SafeHttp

__all__ = ["Answer", "SafeHttp"]
