import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document

_PROSE = "<p>Travel must be booked ten days ahead, by the travel desk, with a cost centre.</p>"


def _text(body: str, head: str = "") -> str:
    page = f"<!doctype html><html><head>{head}</head><body>{_PROSE}{body}{_PROSE}</body></html>"
    return parse_document(page.encode(), "page.html").text


def _lines(body: str) -> list[str]:
    return [line.strip() for line in _text(body).split("\n") if line.strip()][1:-1]


def _title(page: str) -> str:
    return parse_document(page.encode(), "page.HTM").title


def test_headings_of_every_level_are_marked_as_in_markdown() -> None:
    body = "".join(f"<h{n}>Level {n}</h{n}><p>Text of {n}.</p>" for n in range(1, 7))
    expected = [line for n in range(1, 7) for line in (f"{'#' * n} Level {n}", f"Text of {n}.")]
    assert _lines(body) == expected


@pytest.mark.parametrize(
    "heading",
    [
        "<h2>Per diem rates</h2>",
        "<h2>\n  Per\n  diem   rates\n</h2>",
        "<h2>Per <em>diem</em> <code>rates</code></h2>",
        "<h2>Per diem<br>rates</h2>",
        "<h2>Per diem rates<a class=headerlink href='#x'>¶</a></h2>",
        "<h2><a href='#x'>#</a>Per diem rates</h2>",
        "<a href=/x><h2>Per diem rates</h2></a>",
        "<section><header><h2><span>Per diem rates</span></h2></header></section>",
        "<table><tr><td><h2>Per diem rates</h2></td></tr></table>",
    ],
)
def test_a_heading_is_one_line_without_its_permalink(heading: str) -> None:
    assert "## Per diem rates" in _text(f"{heading}<p>25 EUR a day</p>").split("\n")


def test_an_empty_heading_leaves_no_mark() -> None:
    assert "#" not in _text("<h2></h2><h3> <a href='#x'>¶</a></h3>")


def test_a_heading_in_a_list_item_is_text_of_the_item() -> None:
    assert "•" in _text("<ul><li><h3>Trains</h3>first class</li></ul>")
    assert "#" not in _text("<ul><li><h3>Trains</h3>first class</li></ul>")


def test_navigation_and_footers_are_left_out_and_prose_stays() -> None:
    links = "<ul><li><a href=/>Home</a></li><li><a href=/p>Prices</a></li></ul>"
    text = parse_document(
        f"<body><nav>{links}</nav><main><h1>Travel</h1>{_PROSE}</main><footer>Imprint</footer></body>".encode(),
        "a.html",
    ).text
    assert text.split("\n") == [
        "# Travel",
        "",
        "Travel must be booked ten days ahead, by the travel desk, with a cost centre.",
    ]


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_lists_near_the_body_are_kept(depth: int) -> None:
    bullets = "<ul><li>Keep receipts</li><li>Ask first<ul><li>by mail</li></ul></li></ul>"
    lines = _text("<div>" * depth + bullets + "</div>" * depth).split("\n")
    assert [line for line in lines if "•" in line] == ["  • Keep receipts", "  • Ask first", "    • by mail"]


def test_ordered_and_description_lists_are_kept() -> None:
    assert _lines("<ol><li>Ask</li><li>Book</li></ol>") == ["1. Ask", "2. Book"]
    assert _lines("<dl><dt>Per diem</dt><dd>25 EUR</dd></dl>") == ["Per diem", "25 EUR"]


def test_a_table_row_is_one_line() -> None:
    table = """<table><thead><tr><th>City</th><th>Rate</th></tr></thead>
        <tbody><tr><td><p>Oslo</p><p>Norway</p></td><td>80<br>EUR</td></tr>
        <tr><td>Rome</td><td><b>60</b> EUR</td></tr></tbody></table>"""
    rows = [line.split() for line in _lines(table)]
    assert rows == [["City", "Rate"], ["Oslo", "Norway", "80", "EUR"], ["Rome", "60", "EUR"]]


def test_a_table_used_as_page_layout_keeps_its_paragraphs_apart() -> None:
    lines = _lines("<table><tr><td><h2>Rates</h2><p>One paragraph.</p><p>Another.</p></td></tr></table>")
    assert lines == ["## Rates", "One paragraph.", "Another."]


def test_code_keeps_its_lines_and_its_comments_do_not_become_headings() -> None:
    assert "x = 1\n  y = 2\n" in _text("<pre>x = 1\n  y = 2\n</pre>")
    assert "```\n# install\npip install x\n```" in _text("<pre># install\npip install <b>x</b>\n</pre>")


def test_scripts_styles_and_other_invisible_things_never_reach_the_text() -> None:
    hidden = """<script>var secret1 = 1;</script><style>.secret2 {}</style><noscript>secret3</noscript>
        <template>secret4</template><!-- secret5 --><textarea>secret6</textarea>
        <p style="display:none">secret7</p><p hidden>secret8</p><iframe>secret9</iframe>
        <table><tr><td>cell<script>secret10</script></td></tr></table>
        <h2>Head<script>secret11</script></h2>"""
    text = _text(hidden, head="<script>secret12</script><style>secret13</style><meta name=secret14>")
    assert "secret" not in text
    assert "cell" in text


def test_a_page_without_main_content_gives_the_whole_body() -> None:
    page = "<body><nav><a href=/a>Leave</a> <a href=/b>Travel</a></nav></body>"
    assert parse_document(page.encode(), "a.html").text.split() == ["Leave", "Travel"]


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> Travel &amp;\n Expenses </title><h1>Other</h1><p>x", "Travel & Expenses"),
        ("<h1>Travel <em>policy</em></h1><p>x", "Travel policy"),
        ("<title></title><h1>Travel</h1><p>x", "Travel"),
        ("<title>  </title><h1>Travel</h1><p>x", "Travel"),
        ("<h2>Not a title</h2><p>x", ""),
        ("<p>x</p><svg><title>Icon</title></svg>", ""),
    ],
)
def test_the_title_is_the_title_element_else_the_first_h1(page: str, title: str) -> None:
    assert _title(page) == title


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
        ('<meta charset="windows-1250">', "cp1250"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">', "iso8859-2"),
        ("", "cp1250"),
        ('<meta charset="no-such-thing">', "cp1250"),
        ('<meta charset="utf-8">', "cp1250"),
        (
            '<meta charset="windows-1252">',
            "utf-8",
        ),  # a common false declaration. Valid UTF-8 is never an accident
    ],
)
def test_the_encoding_is_found(declaration: str, encoding: str) -> None:
    sentence = "Wniosek o urlop należy złożyć z wyprzedzeniem co najmniej siedmiu dni roboczych."
    page = f"<html><head>{declaration}</head><body><p>{sentence}</p></body></html>"
    assert parse_document(page.encode(encoding), "a.html").text == sentence


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("iso-8859-13", "iso8859-13", "Ąžuolas"),
        ("windows-1257", "cp1257", "Ąžuolas šakų"),
        ("iso-8859-7", "iso8859-7", "Ωά"),
        ("euc-kr", "euc-kr", "문서"),
        ("ISO-8859-1", "cp1252", "10 €, Año"),
    ],
)
@pytest.mark.parametrize(
    "declaration",
    [
        '<meta charset="{}">',
        "<META content='text/html; charset={}' http-equiv='Content-Type'>",
        '<?xml version="1.0" encoding="{}"?>',
    ],
)
def test_a_declared_encoding_beats_a_guess(declaration: str, label: str, encoding: str, text: str) -> None:
    page = f"{declaration.format(label)}<title>{text}</title><p>{text}</p>".encode(encoding)
    parsed = parse_document(page, "a.html")
    assert (parsed.text, parsed.title) == (text, text)


def test_entities_are_resolved() -> None:
    assert _lines("<p>5&nbsp;&lt;&#8364;&gt; &eacute;</p>") == ["5\u00a0<€> é"]


@pytest.mark.parametrize(
    "page", ["<html></html>", "<title>Only a title</title>", "<body><script>x</script></body>"]
)
def test_a_page_without_text_is_empty(page: str) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(page.encode(), "a.html")
    assert caught.value.reason == "empty"


def test_broken_markup_is_read_as_browsers_read_it() -> None:
    assert _lines("<p>one<p>two <b>three</p><table><tr><td>four")[:2] == ["one", "two three"]


@pytest.mark.parametrize("tag", ["div", "article", "b", "ul><li", "table><tr><td", "h1", "pre", "section"])
def test_endless_nesting_neither_crashes_nor_hangs(tag: str) -> None:
    assert "needle" in parse_document((f"<{tag}>" * 40_000 + "needle").encode(), "a.html").text


@pytest.mark.slow
def test_a_large_page_is_not_slow() -> None:
    """About a second. Iterating resiliparse's lists took minutes."""
    row = "<tr><td><p>a</p><p>b</p></td><td>c<br>d</td></tr>"
    section = (
        f"<h2>H <a href='#'>¶</a></h2>{_PROSE}<ul><li>x</li></ul><table>{row * 5}</table><pre># c\n</pre>"
    )
    _text(section * 2_000)
