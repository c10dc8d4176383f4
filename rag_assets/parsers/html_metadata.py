"""Metadata in the head of a page: `<meta>`, the language, and dates and keywords in JSON-LD.

Left out are names for browsers, search engines and social networks.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.properties import MOST_PROPERTIES, Properties, add, keywords, read_quietly

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree

_TECHNICAL = re.compile(
    r"(?:viewport|generator|robots|googlebot|bingbot|referrer|rating|charset|color-scheme|theme-color|format-detection|"
    r"handheldfriendly|mobileoptimized|progid|csrf.*|.*verif.*|.*(?:image|video|audio|player|icon|logo|url|title)|"
    r"(?:apple|msapplication|twitter|fb|al|next|x|google|bing|yandex|baidu|pinterest|shareaholic|wp|parsely)[-:_].*|"
    r"og:locale:alternate|og:site|application-name|http-equiv|docsearch[:_].*)"
)
_NAMES = {"dc.creator": "author", "dcterms.creator": "author"}
_NOT_OF_THE_PAGE = frozenset(
    (
        *("Review", "Comment", "Rating", "AggregateRating", "Person", "Organization", "WebSite"),
        *("BreadcrumbList", "ImageObject", "VideoObject"),
    )
)
"""Types of objects in JSON-LD with dates and languages of their own."""
_MOST_SCRIPTS = 5
_MAX_SCRIPT_CHARACTERS = 64 * 1024
_OF_JSON_LD = {
    "datePublished": "date_published",
    "dateModified": "date_modified",
    "dateCreated": "date_created",
    "keywords": "keywords",
    "articleSection": "article_section",
    "inLanguage": "language",
    "genre": "genre",
    "version": "version",
}


def html_metadata(tree: "HTMLTree") -> Metadata:
    """Return the metadata of a page. Call it before the page is changed."""
    return normalized(
        read_quietly("meta tags", lambda: _meta_tags(tree)),
        *_json_ld(tree),
    )


def _meta_tags(tree: "HTMLTree") -> Properties:
    found: Properties = {}
    root = tree.document.query_selector("html[lang]") if tree.document else None
    if root is not None:
        add(found, "language", (root.getattr("lang") or "").strip())
    if tree.head is None:
        return found
    for tag in islice(tree.head.query_selector_all("meta[content]").values(), MOST_PROPERTIES):
        # With its capitals, which separate words.
        name = (tag.getattr("name") or tag.getattr("property") or tag.getattr("itemprop") or "").strip()
        lower = name.lower()
        content = (tag.getattr("content") or "").strip()
        if name and not _TECHNICAL.fullmatch(lower):
            is_list = lower in ("keywords", "news_keywords")
            add(
                found,
                _NAMES.get(lower, lower if is_list else name),
                keywords(content) if is_list else content,
            )
    return found


def _json_ld(tree: "HTMLTree") -> list[Mapping[str, Any]]:
    """Return the metadata of each script."""
    if tree.document is None:
        return []
    scripts = tree.document.query_selector_all('script[type="application/ld+json"]').values()
    texts = (script.text_content or "" for script in islice(scripts, _MOST_SCRIPTS))
    return [
        read_quietly("JSON-LD", partial(_of_script, text))
        for text in texts
        if len(text) <= _MAX_SCRIPT_CHARACTERS
    ]


def _of_script(text: str) -> Properties:
    found: Properties = {}
    for item in _items(json.loads(text)):
        if not _NOT_OF_THE_PAGE.isdisjoint(_types(item)):
            continue
        for name, ours in _OF_JSON_LD.items():
            value = item.get(name)
            if ours not in found and isinstance(value, str | int | float | list):
                words = keywords(value) if name == "keywords" and isinstance(value, str) else value
                add(found, ours, words)
    return found


def _types(item: Mapping[str, Any]) -> list[str]:
    named = item.get("@type")
    return [str(one) for one in (cast("list[Any]", named) if isinstance(named, list) else [named])]


def _items(data: object) -> list[dict[str, Any]]:
    """Return the objects at the top of a script, or in its graph."""
    if isinstance(data, dict):
        top = cast("dict[str, Any]", data)
        graph = top.get("@graph")
        data = [top, *cast("list[Any]", graph)] if isinstance(graph, list) else [top]
    if not isinstance(data, list):
        return []
    return [
        cast("dict[str, Any]", item) for item in islice(cast("list[Any]", data), 20) if isinstance(item, dict)
    ]
