import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import FetchRefused
from rag_assets.sources.web.canonical import canonical_url, filename_of, may_be_page


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/a/../b/./c#d", "http://example.com/b/c"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com/%7euser/%c3%a4%2f", "http://example.com/~user/%C3%A4%2F"),
        ("http://example.com/ä b", "http://example.com/%C3%A4%20b"),
        ("http://example.com/?utm_source=x&a=1&UTM_Campaign=y&fbclid=z&b", "http://example.com/?a=1&b"),
        ("http://example.com/?", "http://example.com/"),
        ("http://example.com/?b=2&a=1", "http://example.com/?b=2&a=1"),
        ("http://example.com/A", "http://example.com/A"),
        ("http://example.com/?q=utm_source=1", "http://example.com/?q=utm_source=1"),
    ],
)
def test_each_url_has_one_canonical_form(text: str, canonical: str) -> None:
    assert canonical_url(text) == canonical
    assert canonical_url(canonical) == canonical


@given(st.text(alphabet="abAB09/%.?&=#~-_ äutmf:;,", max_size=40))
def test_a_canonical_url_is_unchanged(rest: str) -> None:
    try:
        once = canonical_url(f"http://example.com/{rest}")
    except FetchRefused:
        return
    assert canonical_url(once) == once


@pytest.mark.parametrize(
    ("path", "content_type", "filename"),
    [
        ("/", "text/html; charset=utf-8", "index.html"),
        ("/guide/", "text/html", "index.html"),
        ("/guide", "text/html", "guide.html"),
        ("/guide.php?x=1", "text/html", "guide.php.html"),
        ("/v1.2", "text/html", "v1.2.html"),
        ("/README.md", "text/plain", "README.md"),
        ("/README.md", None, "README.md"),
        ("/README.md", "text/html", "README.md.html"),
        ("/report", "application/pdf", "report.pdf"),
        ("/report.pdf", "application/octet-stream", "report.pdf"),
        ("/data", "application/json", "data.json"),
        ("/notes", "text/plain", "notes.txt"),
        ("/page.htm", "text/html", "page.htm.html"),
        (
            "/letter",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "letter.docx",
        ),
        ("/odd", "x/y", "odd"),
        # Before it is asked it may be a page about a picture.
        ("/wiki/File:Plan.png", None, "File:Plan.png.html"),
        ("/wiki/File:Plan.png", "text/html; charset=utf-8", "File:Plan.png.html"),
        ("/plan.png", "image/png", "plan.png"),
    ],
)
def test_the_filename_has_the_suffix_of_its_content_type(
    path: str, content_type: str | None, filename: str
) -> None:
    assert filename_of(f"http://example.com{path}", content_type) == filename


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", True),
        ("/a.php", True),
        ("/v1.2", True),
        ("/a.pdf?x", True),
        ("/a.docx", True),
        ("/a.json", True),
    ]
    + [(f"/a.{name}", False) for name in ("png", "JPG", "svg", "mp4", "css", "js", "zip", "tar.gz", "woff2")],
)
def test_links_to_pictures_scripts_and_archives_are_not_followed(path: str, expected: bool) -> None:
    assert may_be_page(f"http://example.com{path}") is expected
