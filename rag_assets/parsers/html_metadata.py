"""Metadata in the head of a page: `<meta>`, the language, and dates and keywords in JSON-LD.

Left out are names for browsers, search engines and social networks.
"""

import json
import re
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
        read_quietly("JSON-LD", lambda: _json_ld(tree)),
    )


def _meta_tags(tree: "HTMLTree") -> Properties:
    found: Properties = {}
    root = tree.document.query_selector("html[lang]") if tree.document else None
    if root is not None:
        add(found, "language", (root.getattr("lang") or "").strip())
    if tree.head is None:
        return found
    for tag in islice(tree.head.query_selector_all("meta[content]").values(), MOST_PROPERTIES):
        name = (
            (tag.getattr("name") or tag.getattr("property") or tag.getattr("itemprop") or "").strip().lower()
        )
        content = (tag.getattr("content") or "").strip()
        if name and not _TECHNICAL.fullmatch(name):
            add(
                found,
                _NAMES.get(name, name),
                keywords(content) if name in ("keywords", "news_keywords") else content,
            )
    return found


def _json_ld(tree: "HTMLTree") -> Properties:
    found: Properties = {}
    if tree.document is None:
        return found
    scripts = tree.document.query_selector_all('script[type="application/ld+json"]').values()
    for script in islice(scripts, _MOST_SCRIPTS):
        text = script.text_content or ""
        if len(text) <= _MAX_SCRIPT_CHARACTERS:
            for item in _items(json.loads(text)):
                for name, ours in _OF_JSON_LD.items():
                    value = item.get(name)
                    if ours not in found and isinstance(value, str | int | float | list):
                        words = keywords(value) if name == "keywords" and isinstance(value, str) else value
                        add(found, ours, words)
    return found


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
