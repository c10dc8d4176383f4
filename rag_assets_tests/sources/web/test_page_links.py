from rag_assets.sources.web.page_links import page_links


def test_a_page_with_very_many_attributes_is_fast() -> None:
    attributes = " ".join(f"a{number}=1" for number in range(200_000))
    for page in (f"<a {attributes} href=/x>", "<!--" * 500_000, "<a " * 500_000, "<" * 1_000_000):
        assert page_links(page.encode(), "http://example.com/").links == ()


def test_links_are_read_as_by_a_browser() -> None:
    page = """<base href="/docs/"><a href="a">1</a><A CLASS=x HREF='b?x=1&amp;y=2#z'>2</A><area href=/c>
        <a href="#top">3</a><!-- <a href="hidden"> --><a name=x>4</a><a href="http://[::1/">5</a>
        <a href="//other.example/d">6</a><a href="javascript:void(0)">7</a><a href="  e  ">8</a>
        <link rel="stylesheet canonical" href="/canonical"><link rel="canonical" href="/second">"""
    found = page_links(page.encode(), "http://example.com/start/")
    assert found.canonical == "http://example.com/canonical"
    assert found.links == (
        "http://example.com/docs/a",
        "http://example.com/docs/b?x=1&y=2",
        "http://example.com/c",
        "http://other.example/d",
        "http://example.com/docs/e",
    )
