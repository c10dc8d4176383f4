"""The options of the source `urls`."""

from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import Field

from rag_assets.invalid_values import FORM
from rag_assets.settings import UserPath
from rag_assets.sources.base import DEFAULT_MAX_BYTES, RemoteSourceOptions

DEFAULT_FILE = Path("data/urls_to_scrape.txt")


class UrlsOptions(RemoteSourceOptions):
    """Pages to read, size limits, and politeness."""

    file: UserPath = Field(DEFAULT_FILE, description="File with one URL per line; `#` begins a comment.")
    urls: tuple[str, ...] = Field((), description="URLs of pages.")
    sitemaps: tuple[str, ...] = Field(
        (), description="URLs of sitemaps, of sitemap indexes, or of a robots.txt with a list of sitemaps."
    )
    crawl_depth: int = Field(
        0,
        ge=0,
        le=20,
        description="Maximum number of links from these pages to a crawled page; 0 for no crawling.",
    )
    crawl_pages: int = Field(1_000, ge=1, description="Maximum number of pages added by crawling.")
    same_site: bool = Field(
        True, description="Follow only links and sitemap entries on the same site (host and port)."
    )
    exclude: tuple[str, ...] = Field((), description="Prefixes of URLs to leave out.")
    use_canonical: bool = Field(
        True, description="Treat pages with the same canonical URL on their site as one document."
    )
    max_pages: int = Field(50_000, ge=1, description="A listing with more pages is incomplete.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger pages are quarantined.")
    page_timeout_seconds: float = Field(120.0, gt=0, description="Maximum time for one page in total.")
    delay_seconds: float = Field(
        1.0, ge=0, description="Pause between requests to one host. Its robots.txt may ask for a longer one."
    )
    signature_parameters: tuple[str, ...] = Field(
        (), description="Names of query parameters that are no part of a page's identity, such as signatures."
    )
    user_agent: str = Field(
        f"rag-assets/{version('rag-assets')}",
        min_length=1,
        pattern=r"^[\x20-\x7e]+$",
        json_schema_extra={FORM: "one or more printable ASCII characters"},
        description="Name sent to servers. The part before the `/` is looked up in robots.txt.",
    )
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        json_schema_extra={FORM: "a list of networks such as 10.1.0.0/16"},
        description="Private networks that may be read, such as 10.1.0.0/16.",
    )
