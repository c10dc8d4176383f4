"""URLs to begin a listing with: those in a file and in an option, and those in sitemaps."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rag_assets.errors import FetchRefused
from rag_assets.sources.web.canonical import canonical_url
from rag_assets.sources.web.fetched_page import canonical_or_none
from rag_assets.sources.web.sitemaps import SitemapWalk
from rag_assets.text.wording import counted

_LOGGER = logging.getLogger(__name__)


def written_urls(
    file: Path, urls: Sequence[str], problems: list[str], *, file_is_required: bool
) -> list[str]:
    """Return the canonical URLs in a file and in the option `urls`.

    Args:
        problems: receives a clause for each unusable line or URL.
        file_is_required: whether a missing file is a problem.
    """
    texts = [
        *((f"line {number} of {file}", text) for number, text in _lines(file, problems, file_is_required)),
        *((f"URL {number} of the option urls", text) for number, text in enumerate(urls, 1)),
    ]
    canonical: list[str] = []
    for where, text in texts:
        try:
            canonical.append(canonical_url(text))
        except FetchRefused as error:
            problems.append(f"{where} cannot be fetched: {error}")
    return canonical


def sitemap_urls(
    source: str,
    sitemap: str,
    walk: SitemapWalk,
    kept_of: Callable[[Sequence[str]], list[str]],
    problems: list[str],
) -> Iterator[list[str]]:
    """Yield the canonical URLs in a sitemap and in the sitemaps below it, in batches.

    Args:
        source: name, for the log.
        walk: fetches the sitemaps.
        kept_of: returns the URLs on the right site.
        problems: receives a clause for each sitemap that cannot be read.
    """
    num_named = num_skipped = 0
    for pages in walk.pages(sitemap):
        kept = kept_of([url for url in map(canonical_or_none, pages) if url is not None])
        num_named += len(pages)
        num_skipped += len(pages) - len(kept)
        yield kept
    problems.extend(walk.problems)
    if num_skipped:
        skipped = f"{num_skipped} of {counted(num_named, 'page')} in a sitemap skipped: on another site, or not a URL"
        _LOGGER.warning("source %s: %s", source, skipped)
        if num_skipped == num_named:
            problems.append(f"{skipped}. To read other sites, set the option same_site to false")


def _lines(file: Path, problems: list[str], is_required: bool) -> list[tuple[int, str]]:
    """Return the number and the first word of each line, without comments."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        if is_required:
            problems.append(
                f"there is no file {file}. Write one URL per line into it, or set the option urls or sitemaps"
            )
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file} cannot be read ({type(error).__name__})")
        return []
    words = ((number, line.split()) for number, line in enumerate(lines, 1))
    return [(number, line[0]) for number, line in words if line and not line[0].startswith("#")]
