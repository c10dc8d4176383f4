import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mammoth.docx import files

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import docx, parse_document
from rag_assets_tests.parsers.docx_files import (
    CORE,
    DRAWING,
    MC,
    OFFICE,
    STRICT_OFFICE,
    STRICT_W,
    W,
    cell,
    docx_parts,
    item,
    make_docx,
    paragraph,
    relationships,
    row,
    run,
    table,
    zipped,
)
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable

HEADER = "<w:tblHeader/>"
VERTICAL = '<w:vMerge w:val="restart"/>'
CONTINUED = "<w:vMerge/>"


def _text(body: str, **parts: str) -> str:
    return parse_document(make_docx(body, **parts), "a.docx").text


def _title(body: str, title: str | None = None) -> str:
    return parse_document(make_docx(body, title=title), "a.DOCX").title


def _spanning(columns: int) -> str:
    return f'<w:gridSpan w:val="{columns}"/>'


def test_paragraphs_tables_and_lists_keep_their_order() -> None:
    body = (
        paragraph("Before.")
        + table(row("a", "b"), row("c", "d"))
        + paragraph("Between.")
        + item("one", 2)
        + item("two", 2)
        + paragraph("After.")
    )
    assert _text(body) == "Before.\n\na; b\nc; d\n\nBetween.\n\n  1. one\n  2. two\n\nAfter."


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        (paragraph("Rates", "berschrift1"), "## Rates"),  # the id is localized, the name is not
        (paragraph("Rates", "berschrift2"), "### Rates"),
        (paragraph("Rates", "berschrift9"), "###### Rates"),
        (paragraph("Rates", "Title"), "# Rates"),
        (paragraph("Rates", "no such style"), "Rates"),
        (paragraph(f"{run('Per')}<w:r><w:br/></w:r>{run(' diem')}", "berschrift1"), "## Per diem"),
        (
            paragraph(
                "Rates",
                "berschrift1",
                '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="2"/></w:numPr>',
            ),
            "## Rates",
        ),
    ],
)
def test_headings_are_recognized_by_the_name_of_their_style(heading: str, line: str) -> None:
    assert _text(heading) == line


def test_headings_are_below_the_title_of_the_document() -> None:
    body = paragraph("Travel", "Title") + paragraph("Rates", "berschrift1") + paragraph("Rome", "berschrift2")
    assert _text(body).split("\n\n") == ["# Travel", "## Rates", "### Rome"]


@pytest.mark.parametrize(
    ("body", "properties", "title"),
    [
        (paragraph("Travel", "berschrift1"), " Policy ", "Policy"),
        (paragraph("Travel", "berschrift1"), "", "Travel"),
        (paragraph("Travel", "berschrift1"), None, "Travel"),
        (paragraph("Part", "berschrift1") + paragraph("Travel", "Title"), None, "Travel"),
        (paragraph("Just text"), None, ""),
        (paragraph(" ", "berschrift1") + paragraph("Travel", "berschrift2"), None, "Travel"),
    ],
)
def test_the_title_comes_from_the_properties_else_from_the_page(
    body: str, properties: str | None, title: str
) -> None:
    assert _title(body + paragraph("Text"), properties) == title


def test_lists_are_numbered_and_indented() -> None:
    body = "".join(
        item(text, num_id, depth)
        for text, num_id, depth in [
            ("first", 2, 0),
            ("inner a", 2, 1),
            ("inner b", 2, 1),
            ("third level", 2, 2),
            ("second", 2, 0),
            ("inner again", 2, 1),
        ]
    )
    assert _text(body).split("\n") == [
        "1. first",
        "    1. inner a",
        "    2. inner b",
        "      1. third level",
        "  2. second",
        "    1. inner again",
    ]
    assert _text(item("bullet", 1) + item("inner", 1, 1)) == "• bullet\n    • inner"


def test_a_list_may_come_from_the_style() -> None:
    assert _text(paragraph("item", "Aufzhlung") + item("unknown", 77)) == "• item\n\nunknown"


def test_all_changes_count_as_accepted() -> None:
    body = paragraph(
        f"{run('Travel is ')}<w:del><w:r><w:delText>forbidden</w:delText></w:r></w:del>"
        f"<w:ins>{run('allowed')}</w:ins><w:moveFrom>{run('gone')}</w:moveFrom><w:moveTo>{run(' here')}</w:moveTo>"
    )
    rows = (
        row("a", "b")
        + f"<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:del>{run('old')}</w:del></w:p></w:tc></w:tr>"
    )
    assert _text(body + table(rows, row("c", "d"))) == "Travel is allowed here\n\na; b\nc; d"


def test_text_in_wrapper_elements_is_found() -> None:
    body = (
        f"<w:sdt><w:sdtPr/><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>"
        + paragraph(f"<w:hyperlink>{run('link')}</w:hyperlink>")
        + paragraph(f"<w:fldSimple>{run('simple field')}</w:fldSimple>")
        + paragraph(
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGEREF x</w:instrText></w:r>'
            f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("field")}'
        )
        + paragraph(f"<w:smartTag>{run('tag')}</w:smartTag>")
        + paragraph(f"<w:sdt><w:sdtContent>{run('inline control')}</w:sdtContent></w:sdt>")
        + paragraph(
            f"<w:r><w:ruby><w:rt>{run('reading')}</w:rt><w:rubyBase>{run('旅費')}</w:rubyBase></w:ruby></w:r>"
        )
        + table(f"<w:sdt><w:sdtContent>{row('x', 'y')}</w:sdtContent></w:sdt>", row("z", cell("w")))
    )
    assert _text(body).split("\n") == [
        *("control", "", "link", "", "simple field", "", "field", "", "tag", "", "inline control", ""),
        *("旅費", "", "x; y", "z; w"),
    ]


def test_the_table_of_contents_and_placeholders_are_left_out() -> None:
    placeholder = run("Click here to enter text", '<w:rStyle w:val="Platzhaltertext"/>')
    assert (
        _text(paragraph("Chapter 1 ..... 7", "TOC1") + paragraph(placeholder) + paragraph("shown")) == "shown"
    )


def test_a_text_box_is_read_once_after_its_paragraph() -> None:
    box = f"<w:txbxContent>{paragraph('box', 'berschrift1')}{paragraph('text')}</w:txbxContent>"
    fallback = f"<m:Fallback><w:pict>{box}</w:pict></m:Fallback>"
    twice = f'<m:AlternateContent xmlns:m="{MC}"><m:Choice>{box}</m:Choice>{fallback}</m:AlternateContent>'
    assert _text(paragraph(f"{run('anchor')}<w:r>{twice}</w:r>{run('ed')}")) == "anchored\n\n## box\n\ntext"


def test_notes_come_last_under_their_numbers() -> None:
    notes = f'<w:footnote w:id="2">{paragraph("With receipt.")}</w:footnote>'
    reference = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    body = paragraph(run("Taxi") + reference) + paragraph("Train")
    assert _text(body, footnotes=notes) == "Taxi[1]\n\nTrain\n\n  1. With receipt."


def test_comments_are_left_out() -> None:
    parts = docx_parts(paragraph(f'{run("Text")}<w:r><w:commentReference w:id="0"/></w:r>'))
    parts["word/comments.xml"] = (
        f'<w:comments xmlns:w="{W}"><w:comment w:id="0">{paragraph("secret")}</w:comment></w:comments>'
    )
    assert parse_document(zipped(parts), "a.docx").text == "Text"


def _with_picture(target: str, kind: str = "embed") -> dict[str, str]:
    graphic = (
        f'<wp:inline xmlns:wp="{DRAWING}/wordprocessingDrawing" xmlns:a="{DRAWING}/main" xmlns:r="{OFFICE}" '
        f'xmlns:pic="{DRAWING}/picture"><wp:docPr descr="plan of the site"/><a:graphic><a:graphicData><pic:pic>'
        f'<pic:blipFill><a:blip r:{kind}="r0"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>'
    )
    parts = docx_parts(paragraph(f"{run('Text')}<w:r><w:drawing>{graphic}</w:drawing></w:r>"))
    return {**parts, "word/_rels/document.xml.rels": relationships((f"{OFFICE}/image", target))}


@pytest.mark.parametrize("target", ["media/image1.png", "NULL", "../../../etc/passwd"])
def test_a_picture_is_neither_needed_nor_unpacked(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped({**_with_picture(target), "word/media/image1.png": b"not a picture"})
    opened = _record_opened(monkeypatch)
    assert parse_document(data, "a.docx").text == "Text"
    assert "word/document.xml" in opened
    assert "word/media/image1.png" not in opened


@pytest.mark.parametrize("target", ["http://localhost:1/a.png", "file:///etc/passwd"])
def test_a_link_out_of_the_document_is_not_followed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> None:
        pytest.fail("it opened a link")

    monkeypatch.setattr(files, "urlopen", reached)
    assert parse_document(zipped(_with_picture(target, "link")), "a.docx").text == "Text"


def _record_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []
    unpack = zipfile.ZipFile.open

    def recording(self: zipfile.ZipFile, entry: zipfile.ZipInfo | str, *args: Any, **options: Any) -> object:
        opened.append(entry if isinstance(entry, str) else entry.filename)
        return unpack(self, entry, *args, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", recording)
    return opened


def test_character_elements_are_kept() -> None:
    runs = f"<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r>{run('d')}"
    tab_stops = '<w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs>'
    assert _text(paragraph("before") + paragraph(runs, properties=tab_stops)) == "before\n\na b\nc-d"


def test_text_like_a_heading_or_a_fence_is_marked_as_text() -> None:
    body = (
        paragraph("# install") + paragraph("```") + paragraph("#1 of all") + paragraph("Rates", "berschrift1")
    )
    assert _text(body) == "\\# install\n\n\\```\n\n#1 of all\n\n## Rates"


def test_each_value_of_a_table_row_has_its_label() -> None:
    cities = (
        row("City", "Rate", "Year"),
        row("Oslo", "80", ""),
        row("Rome", f"{paragraph('60')}{paragraph('EUR')}", "2026"),
    )
    assert _text(table(*cities)) == "City: Oslo; Rate: 80\nCity: Rome; Rate: 60 EUR; Year: 2026"


def test_values_without_column_names_have_no_labels() -> None:
    assert _text(table(row("Oslo", "80", "x"), row("Rome", "60", "y"))) == "Oslo; 80; x\nRome; 60; y"


def test_two_columns_have_names_only_with_a_marked_header_row() -> None:
    rows = (row("Mileage", "0.42 EUR"), row("Night", ""))
    assert _text(table(row("What", "Rate"), *rows)) == "What; Rate\nMileage; 0.42 EUR\nNight"
    marked = row("What", "Rate", properties=HEADER)
    assert _text(table(marked, *rows)) == "What: Mileage; Rate: 0.42 EUR\nWhat: Night"


def test_several_header_rows_make_one_header() -> None:
    headers = (row("Site", "Rate", properties=HEADER), row("Site", "2026", properties=HEADER))
    assert _text(table(*headers, row("Oslo", "80"))) == "Site: Oslo; Rate 2026: 80"


@pytest.mark.parametrize(
    ("irregular", "line"),
    [
        (row("80", "2026", properties='<w:gridBefore w:val="1"/>'), "80; 2026"),
        (row(cell("no rates", _spanning(2)), "0"), "no rates; 0"),
        (
            row(cell("Italy", VERTICAL), "Rome", "60") + row(cell("", CONTINUED), "Milan", "70"),
            "Italy; Rome; 60\nMilan; 70",
        ),
    ],
    ids=["begins later", "across", "down"],
)
def test_no_value_gets_the_name_of_another_column(irregular: str, line: str) -> None:
    assert _text(table(row("Country", "City", "Rate"), irregular)) == f"Country; City; Rate\n{line}"


def test_a_table_used_as_a_frame_keeps_its_paragraphs() -> None:
    inside = paragraph("Rates", "berschrift1") + paragraph("One.") + paragraph("Two.")
    assert _text(table(row(inside), row("Below."))) == "## Rates\n\nOne.\n\nTwo.\n\nBelow."
    assert _text(table(row(inside, "Beside."))).split() == ["##", "Rates", "One.", "Two.", "Beside."]


def test_a_table_in_a_table_is_part_of_its_cell() -> None:
    inner = table(row("EUR", "80"), row("NOK", "940")) + paragraph("a day")
    body = table(row("City", "Rate", "x"), row("Oslo", inner, "y")) + paragraph("After.")
    assert _text(body) == "City: Oslo; Rate: EUR; 80 NOK; 940 a day; x: y\n\nAfter."


def test_headings_and_marks_in_a_cell_are_text_of_the_cell() -> None:
    rows = (row("City", "Note", "x"), row(paragraph("Oslo", "berschrift1"), paragraph("# 1"), item("one", 2)))
    parsed = parse_document(make_docx(table(*rows)), "a.docx")
    assert (parsed.text, parsed.title) == ("City: Oslo; Note: # 1; x: one", "")


def test_a_table_of_header_rows_only_and_an_empty_one() -> None:
    header = row("City", "Rate", properties=HEADER)
    assert (
        _text(table(header, header) + table(row("", ""), row("", "")) + table()) == "City; Rate\nCity; Rate"
    )


def test_documents_in_the_strict_format_are_read() -> None:
    parts = docx_parts(paragraph("Rates", "berschrift1"), title="Travel")
    strict = {
        name: text.replace(W, STRICT_W)
        .replace(OFFICE, STRICT_OFFICE)
        .replace(CORE, f"{STRICT_OFFICE}/metadata/core-properties")
        for name, text in parts.items()
    }
    parsed = parse_document(zipped(strict), "a.docx")
    assert (parsed.text, parsed.title) == ("## Rates", "Travel")


def test_only_the_text_part_is_required() -> None:
    parts = docx_parts(paragraph("Text", "berschrift1") + item("item", 2))
    kept = {name: parts[name] for name in ("_rels/.rels", "word/document.xml")}
    assert parse_document(zipped(kept), "a.docx").text == "Text\n\nitem"


def test_a_document_without_text_is_empty() -> None:
    assert unreadable(make_docx(paragraph(" ") + "<w:p/>"), "a.docx").reason == "empty"


def test_an_encrypted_document_is_distinguished_from_an_old_one() -> None:
    # Both are OLE containers. The names of the streams in them are UTF-16.
    container = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    assert unreadable(container + "EncryptedPackage".encode("utf-16-le"), "a.docx").reason == "encrypted"
    old = unreadable(container + "WordDocument".encode("utf-16-le"), "a.docx")
    assert (old.reason, "save it as .docx" in old.detail) == ("corrupt", True)


def test_an_archive_with_a_password_is_encrypted() -> None:
    data = bytearray(make_docx(paragraph("Text")))
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = data.find(signature)
        while position >= 0:
            data[position + flags] |= 1
            position = data.find(signature, position + 1)
    assert unreadable(bytes(data), "a.docx").reason == "encrypted"


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.99])
def test_a_truncated_document_is_corrupt_not_half_a_document(share: float) -> None:
    data = make_docx("".join(paragraph(f"Paragraph {n}.") for n in range(500)))
    assert unreadable(data[: int(len(data) * share)], "a.docx").reason == "corrupt"


@pytest.mark.parametrize(
    "parts",
    [
        {"a.txt": "text"},
        {"word/document.xml": "<w:document/>"},  # nothing declares it as the document
        {
            "_rels/.rels": relationships((f"{OFFICE}/officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": "<workbook/>",
        },
        {"_rels/.rels": relationships((f"{OFFICE}/officeDocument", "gone.xml"))},
        {**docx_parts(""), "word/document.xml": "<w:document><not closed>"},
        {**docx_parts(paragraph("Text")), "word/styles.xml": "not XML"},
    ],
    ids=["text", "no relations", "workbook", "gone", "broken", "broken styles"],
)
def test_an_archive_without_a_word_document_is_corrupt(parts: dict[str, str]) -> None:
    assert unreadable(zipped(parts), "a.docx").reason == "corrupt"


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"<html>Not found</html>", b"\x00" * 1000])
def test_a_file_that_is_not_an_archive_is_corrupt(data: bytes) -> None:
    error = unreadable(data, "a.docx")
    assert (error.reason, "not a ZIP archive" in error.detail) == ("corrupt", True)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_unknown_to_word_is_corrupt(method: int) -> None:
    # An LZMA stream declares its need of memory, up to 4 GB.
    assert unreadable(zipped(docx_parts(paragraph("Text")), method), "a.docx").reason == "corrupt"


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = " " * docx.MAX_XML_BYTES
    bomb = make_docx(paragraph(spaces))
    assert len(bomb) < docx.MAX_XML_BYTES / 500
    opened = _record_opened(monkeypatch)
    assert unreadable(bomb, "a.docx").reason == "too_large"
    assert not opened


def test_all_parts_together_have_a_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = docx_parts(paragraph("x" * 2_000), footnotes=paragraph("y" * 2_000))
    parse_document(zipped(parts), "a.docx")
    monkeypatch.setattr(docx, "MAX_XML_BYTES", sum(map(len, parts.values())) - 1_000)
    assert unreadable(zipped(parts), "a.docx").reason == "too_large"


@pytest.mark.parametrize("element", ["<w:p/>", '<w:p w:a="" w:b="" w:c=""/>'])
def test_all_elements_and_attributes_together_have_a_limit(
    element: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = 1 + element.count("=")
    data = make_docx(paragraph("Text") + element * (300 // nodes), footnotes=element * (300 // nodes))
    parse_document(data, "a.docx")
    monkeypatch.setattr(docx, "MAX_XML_NODES", 500)
    error = unreadable(data, "a.docx")
    assert (error.reason, "500 XML nodes" in error.detail) == ("too_large", True)


def test_an_unchecked_part_is_not_read() -> None:
    parts = docx_parts("")
    parts["_rels/.rels"] = relationships((f"{OFFICE}/officeDocument", "word/media/x.png"))
    parts["word/media/x.png"] = (
        f'<w:document xmlns:w="{W}"><w:body>{paragraph("needle")}</w:body></w:document>'
    )
    assert unreadable(zipped(parts), "a.docx").reason == "empty"


def test_large_pictures_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = docx_parts(paragraph("Text"))
    monkeypatch.setattr(docx, "MAX_XML_BYTES", 10_000)
    assert parse_document(zipped({**parts, "word/media/image1.bmp": bytes(100_000)}), "a.docx").text == "Text"


def test_a_false_size_in_the_directory_is_corrupt() -> None:
    parts = docx_parts(paragraph("needle " * 100_000))
    data = bytearray(zipped(parts))
    entry = data.find(b"PK\x01\x02")
    while bytes(data[entry + 46 : entry + 46 + 17]) != b"word/document.xml":
        entry = data.find(b"PK\x01\x02", entry + 1)
    data[entry + 24 : entry + 28] = (1_000).to_bytes(4, "little")
    assert unreadable(bytes(data), "a.docx").reason == "corrupt"


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY e "needle">]>',
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY e "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_entity_is_ever_resolved(declaration: str, encoding: str) -> None:
    parts: dict[str, str | bytes] = {**docx_parts("")}
    document = f'<?xml version="1.0" encoding="{encoding}"?>{declaration}<w:document xmlns:w="{W}"><w:body>{paragraph("&e;")}</w:body></w:document>'
    parts["word/document.xml"] = document.encode(encoding)
    error = unreadable(zipped(parts), "a.docx")
    assert (error.reason, "document type" in error.detail) == ("corrupt", True)


def test_an_undeclared_entity_is_corrupt() -> None:
    assert unreadable(make_docx(paragraph("&e;")), "a.docx").reason == "corrupt"


@pytest.mark.parametrize("wrapper", ["w:sdtContent", "w:ins", "w:smartTag"])
def test_endless_nesting_does_not_crash(wrapper: str) -> None:
    deep = f"<{wrapper}>" * 100_000 + paragraph("needle") + f"</{wrapper}>" * 100_000
    assert unreadable(make_docx(deep), "a.docx").reason == "corrupt"


def test_absurd_numbers_are_harmless() -> None:
    wide = table(row("a", "b", "c"), row(cell("d", _spanning(999_999_999)), cell("e", _spanning(0))))
    far = paragraph("x", properties='<w:numPr><w:ilvl w:val="999999999"/><w:numId w:val="2"/></w:numPr>')
    assert _text(wide + far) == "a; b; c\nd; e\n\nx"


_DOCX = make_docx(
    paragraph("Travel", "Title") + item("one", 2) + table(row("a", "b"), row("c", "d")), title="T"
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_DOCX) - 1), st.integers(0, 255)), max_size=30))
def test_random_damage_gives_text_or_one_kind_of_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_DOCX)
    for position, value in changes:
        data[position] = value
    assert_text_or_unreadable(bytes(data), "a.docx")


_VALUES = st.sampled_from(["", "0", "1", "-1", "9" * 30, "x", "restart"])
_TAGS = st.sampled_from(
    [
        *("p", "r", "t", "tbl", "tr", "tc", "sdt", "sdtContent", "sdtPr", "ins", "del", "br", "txbxContent"),
        *(
            "tcPr",
            "trPr",
            "pPr",
            "rPr",
            "numPr",
            "ilvl",
            "numId",
            "pStyle",
            "outlineLvl",
            "gridSpan",
            "vMerge",
        ),
        *("gridBefore", "tblHeader", "AlternateContent", "Choice", "Fallback", "footnoteReference", "vanish"),
    ]
)
_TREES = st.recursive(
    st.builds(lambda tag, value: f'<w:{tag} w:val="{value}" w:id="{value}">text</w:{tag}>', _TAGS, _VALUES),
    lambda inner: st.builds(
        lambda tag, parts: f"<w:{tag}>{''.join(parts)}</w:{tag}>", _TAGS, st.lists(inner, max_size=4)
    ),
    max_leaves=25,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(_TREES)
def test_elements_in_any_order_give_text_or_one_kind_of_error(body: str) -> None:
    try:
        outcome = _text(body)
    except DocumentUnreadable as error:
        outcome = error.reason
    assert outcome
