"""A `UrlsSource` for tests: pages to put on a site, and a reader."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from rag_assets.errors import DocumentGone, SourceUnavailable
from rag_assets.parsers import parse_document
from rag_assets.sources.urls import UrlsOptions, UrlsSource
from rag_assets_tests.safe_http.test_safe_http import SITE


def source_of(folder: Path | None = None, **options: object) -> UrlsSource:
    source = UrlsSource(
        "web",
        UrlsOptions(
            **{
                "allow_networks": [f"{SITE}/32"],
                "delay_seconds": 0,
                "timeout_seconds": 2,
                "page_timeout_seconds": 5,
                **options,
            }  # pyright: ignore[reportArgumentType]
        ),
    )
    if folder is not None:
        source.use_folder(folder)
    return source


def html(text: str, links: Sequence[str] = (), head: str = "") -> str:
    anchors = "".join(f'<a href="{link}">a link</a> ' for link in links)
    return f"<html><head><title>T</title>{head}</head><body><p>{text}</p>{anchors}</body></html>"


def sitemap(*urls: str) -> str:
    return f"<urlset>{''.join(f'<url><loc>{url}</loc></url>' for url in urls)}</urlset>"


def paths(source: UrlsSource) -> list[str]:
    """Document paths without the host, as listed."""
    return sorted("/" + entry.path.partition("/")[2] for entry in source.list_entries())


def read_all(
    source: UrlsSource, known: dict[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Read like a refresh. Return path -> text of each page read, and path -> token of each listed page."""
    texts, tokens = {}, {}
    for entry in list(source.list_entries()):
        path = "/" + entry.path.partition("/")[2]
        before = (known or {}).get(path, "")
        if before and entry.version_token == before:
            tokens[path] = before
            continue
        try:
            reading = source.read(entry, before)
        except DocumentGone:
            continue
        tokens[path] = reading.version_token if reading else before
        if reading:
            texts[path] = parse_document(reading.data, reading.filename).text
    return texts, tokens


def problem_of(source: UrlsSource) -> str:
    with pytest.raises(SourceUnavailable) as error:
        list(source.list_entries())
    return str(error.value)
