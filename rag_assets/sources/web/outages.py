"""The failed parts of a listing of web pages: sites and sitemaps."""

from collections.abc import Callable

from rag_assets.records import Outage
from rag_assets.sources.web.canonical import document_path
from rag_assets.sources.web.run import Run


def outages_of(source: str, run: Run, path_of: Callable[[str], str], *, keeps_all: bool) -> list[Outage]:
    """Return the outages of the last listing.

    Args:
        path_of: returns the document path of a URL.
        keeps_all: whether an outage keeps every missing page.
    """
    sites = [
        Outage(
            source,
            f"the site {origin}",
            problem.removeprefix(f"{origin} is not read: "),
            below="" if keeps_all else f"{document_path(origin)}/",
        )
        for origin, problem in run.closed_sites.items()
    ]
    return sites + [
        Outage(
            source,
            f"the sitemap {failed.shown}",
            failed.problem,
            below="" if keeps_all else None,
            paths=frozenset(map(path_of, failed.pages)),
            is_quiet=failed.is_empty,
        )
        for failed in run.failed_sitemaps
    ]
