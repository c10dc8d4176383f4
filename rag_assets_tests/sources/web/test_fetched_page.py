from typing import Any

import pytest

from rag_assets_tests.sources.web.pages import read_all, source_of
from rag_assets_tests.web_site import Reply, WebSite


def test_the_charset_declared_by_the_server_is_used(site: WebSite) -> None:
    text = "<p>Größe: 5 €</p>"
    site.replies["/header"] = Reply(
        f'<meta charset="utf-8">{text}'.encode("iso8859-15"), content_type="text/html; charset=ISO-8859-15"
    )
    site.replies["/meta"] = Reply(
        f'<meta charset="windows-1252">{text}'.encode("cp1252"), content_type="text/html"
    )
    site.replies["/koi"] = Reply(
        "<p>Привет, мир</p>".encode("koi8-r"), content_type='text/html; charset="koi8-r"'
    )
    site.replies["/wrong"] = Reply(text.encode(), content_type="text/html; charset=klingon")
    texts, _ = read_all(source_of(urls=[site.url + path for path in site.replies]))
    assert texts == {
        "/header": "Größe: 5 €",
        "/meta": "Größe: 5 €",
        "/koi": "Привет, мир",
        "/wrong": "Größe: 5 €",
    }


@pytest.mark.parametrize(
    ("body", "content_type", "header", "expected"),
    [
        ("<p>text</p>", "text/html", "de", {"language": "de"}),
        ("<p>text</p>", "text/html", "de, en-GB", {"language": ("de", "en-GB")}),
        ("<!doctype html><html lang='fr'><p>text</p>", "text/html", "de", {}),
        ("<HTML class=x\nXML:LANG=fr><p>text</p>", "text/html", "de", {}),
        ("<html class=lang><p>text</p>", "text/html", "de", {"language": "de"}),
        ("text about <html lang=fr>", "text/plain", "de", {"language": "de"}),
        ("<p>text</p>", "text/html", " , ", {}),
        ("<p>text</p>", "text/html", "x" * 5000, {"language": "x" * 500}),
    ],
)
def test_the_language_in_the_headers_is_metadata_of_a_page_without_its_own(
    site: WebSite, body: str, content_type: str, header: str, expected: dict[str, Any]
) -> None:
    headers = {"Content-Language": header, "X-Team": "hr"}
    site.replies["/page"] = Reply(body.encode(), content_type=content_type, headers=headers)
    source = source_of(urls=[f"{site.url}/page"])
    (entry,) = source.list_entries()
    reading = source.read(entry)
    assert reading is not None
    assert dict(reading.metadata) == expected
