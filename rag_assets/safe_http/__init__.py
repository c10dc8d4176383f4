"""Fetching what others name: pages, redirects, robots and sitemaps, from public addresses only.

Who writes a page that we read also writes its links and redirects, and whoever owns a name decides what it resolves
to. So no name is trusted: `urls` refuses those that programs read differently, `addresses` says which addresses are
public, `connections` resolves once and connects to exactly what was checked, and `client` follows redirects, each as
if it had been asked for, within limits on bytes and time. Nothing here knows about robots or politeness.
"""

from rag_assets.safe_http.client import Answer, SafeHttp

__all__ = ["Answer", "SafeHttp"]
