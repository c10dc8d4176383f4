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
