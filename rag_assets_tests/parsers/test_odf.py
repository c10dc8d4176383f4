import pytest

from rag_assets.parsers import odf, parse_document, sheets
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import (
    changed,
    make_odf,
    mutants,
    odf_parts,
    with_part,
    zipped_document,
)

NUMBERED = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1"/>'
    '<text:list-level-style-bullet text:level="2"/></text:list-style>'
)


def _text(body: str, **parts: str) -> str:
    return parse_document(make_odf("text", body, **parts), "a.odt").text


def _sheets(body: str, **parts: str) -> list[str]:
    return parse_document(make_odf("spreadsheet", body, **parts), "a.ods").text.split("\n\n")


def _slides(body: str, **parts: str) -> list[str]:
    return parse_document(make_odf("presentation", body, **parts), "a.odp").text.split("\n\n")


def _p(text: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{text}</text:p>'


def _h(text: str, level: int = 1) -> str:
    return f'<text:h text:outline-level="{level}">{text}</text:h>'


def _row(*cells: str, attributes: str = "") -> str:
    inner = "".join(
        cell
        if cell.startswith("<table:")
        else f"<table:table-cell>{_p(cell) if cell else ''}</table:table-cell>"
        for cell in cells
    )
    return f"<table:table-row {attributes}>{inner}</table:table-row>"


def _table(*rows: str, name: str = "Rates", style: str = "") -> str:
    return f'<table:table table:name="{name}" table:style-name="{style}">{"".join(rows)}</table:table>'


def _frame(text: str, kind: str = "") -> str:
    return f'<draw:frame presentation:class="{kind}"><draw:text-box>{_p(text)}</draw:text-box></draw:frame>'


@pytest.mark.parametrize("filename", ["a.odt", "a.txt", "a", "a.docx"])
def test_an_open_document_is_recognized_under_any_name(filename: str) -> None:
    parsed = parse_document(make_odf("text", _p("Text")), filename)
    assert (parsed.parser_name, parsed.text) == ("odf", "Text")


def test_headings_are_below_the_title_of_the_document() -> None:
    styles = '<style:style style:name="P1" style:parent-style-name="Title"/>'
    body = _p("Travel", "P1") + _h("Rates") + _h("Rome", 2) + _h("Deep", 9) + _p("# text") + _h("")
    assert _text(body, styles=styles).split("\n\n") == [
        "# Travel",
        "## Rates",
        "### Rome",
        "###### Deep",
        "\\# text",
    ]


@pytest.mark.parametrize(
    ("body", "properties", "title"),
    [
        (_h("Rates") + _p("Travel", "Title"), "Policy", "Policy"),
        (_h("Rates") + _p("Travel", "Title"), "", "Travel"),
        (_h("Rates"), "", "Rates"),
        (_p("text"), "", ""),
    ],
)
def test_the_title_comes_from_the_properties_else_from_the_page(
    body: str, properties: str, title: str
) -> None:
    assert parse_document(make_odf("text", body + _p("x"), title=properties), "a.odt").title == title


def test_character_elements_are_kept_and_white_space_is_not() -> None:
    assert (
        _text(_p('a<text:s text:c="3"/>b<text:tab/>c<text:line-break/>d <text:span>e\n  f</text:span>'))
        == "a b c\nd e f"
    )


def test_notes_come_last_under_their_numbers_and_comments_are_left_out() -> None:
    note = f"<text:note><text:note-citation>7</text:note-citation><text:note-body>{_p('With receipt.')}</text:note-body></text:note>"
    comment = f"<office:annotation>{_p('secret')}</office:annotation>"
    assert _text(_p(f"Taxi{note} or{comment} train")) == "Taxi[1] or train\n\n  1. With receipt."


def test_all_changes_count_as_accepted() -> None:
    deleted = f"<text:tracked-changes><text:changed-region>{_p('forbidden')}</text:changed-region></text:tracked-changes>"
    assert (
        _text(deleted + _p("Travel is <text:change-start/>allowed<text:change-end/>")) == "Travel is allowed"
    )


def test_lists_are_numbered_and_indented() -> None:
    inner = f"<text:list><text:list-item>{_p('inner')}</text:list-item></text:list>"
    items = f"<text:list-item>{_p('one')}{inner}</text:list-item><text:list-item>{_p('two')}</text:list-item>"
    body = f'<text:list text:style-name="L1">{items}</text:list><text:list>{items}</text:list>'
    assert _text(body, styles=NUMBERED).split("\n\n") == [
        "1. one\n  • inner\n2. two",
        "• one\n  • inner\n• two",
    ]


def test_each_value_of_a_table_row_has_its_label() -> None:
    marked = f"<table:table-header-rows>{_row('City', 'Rate')}</table:table-header-rows>"
    assert _text(_table(marked, _row("Oslo", "80"), _row("Rome", ""))) == "City: Oslo; Rate: 80\nCity: Rome"
    assert _text(_table(_row("City", "Rate", "x"), _row("Oslo", "80", "y"))) == "City: Oslo; Rate: 80; x: y"
    assert _text(_table(_row("City", "Rate"), _row("Oslo", "80"))) == "City; Rate\nOslo; 80"


def test_covered_cells_do_not_shift_columns_and_an_inner_table_is_text() -> None:
    merged = _row("Oslo", "<table:covered-table-cell/>", "x")
    assert _text(_table(_row("City", "Rate", "Note"), merged)) == "City: Oslo; Note: x"
    inner = f"<table:table-cell>{_table(_row('EUR', '80'), _row('NOK', '940'))}</table:table-cell>"
    assert (
        _text(_table(_row("City", "Rate", "x"), _row("Oslo", inner, "y")))
        == "City: Oslo; Rate: EUR 80 NOK 940; x: y"
    )


def test_a_table_used_as_a_frame_keeps_its_paragraphs() -> None:
    cell = f"<table:table-cell>{_h('Rates')}{_p('One.')}</table:table-cell>"
    assert _text(_table(_row(cell))) == "## Rates\n\nOne."


def test_a_text_box_is_read_after_its_paragraph_and_the_table_of_contents_is_not() -> None:
    box = f"<draw:frame><draw:text-box>{_h('box')}{_p('text')}</draw:text-box><svg:desc>plan</svg:desc></draw:frame>"
    contents = (
        f"<text:table-of-content><text:index-body>{_p('Rates 7')}</text:index-body></text:table-of-content>"
    )
    assert _text(contents + _p(f"anchor{box}ed")) == "anchored\n\n## box\n\ntext"


def test_sheets_have_their_names_as_headings_and_hidden_ones_are_left_out() -> None:
    styles = '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>'
    body = (
        _table(_row("City", "Rate"), _row("Oslo", "80,00 €"))
        + _table(_row("secret"), style="ta2")
        + _table(_row("a", "1"), name="Last")
    )
    assert _sheets(body, styles=styles) == ["## Rates", "City: Oslo; Rate: 80,00 €", "## Last", "a; 1"]


def test_repeated_cells_are_repeated_but_not_the_endless_rest() -> None:
    gap = '<table:table-cell table:number-columns-repeated="2"/>'
    rest = _row(
        '<table:table-cell table:number-columns-repeated="16384"/>',
        attributes='table:number-rows-repeated="1048000"',
    )
    twice = f'<table:table-cell table:number-columns-repeated="2">{_p("1")}</table:table-cell>'
    rows = (
        _row("A", "B", "C", "D"),
        _row("x", gap, "9"),
        _row("y", twice, attributes='table:number-rows-repeated="2"'),
    )
    assert _sheets(_table(*rows, rest)) == ["## Rates", "A: x; D: 9", "A: y; B: 1; C: 1", "A: y; B: 1; C: 1"]


def test_a_bomb_of_repetitions_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    full = f'<table:table-cell table:number-columns-repeated="999999999">{_p("1")}</table:table-cell>'
    bomb = make_odf("spreadsheet", _table(_row(full, attributes='table:number-rows-repeated="999999999"')))
    monkeypatch.setattr(sheets, "MAX_CELLS", 50_000)
    error = unreadable(bomb, "a.odt")
    assert (error.reason, "50,000 cells" in error.detail) == ("too_large", True)


def test_a_value_merged_over_rows_is_repeated_in_each() -> None:
    merged = f'<table:table-cell table:number-rows-spanned="2">{_p("Italy")}</table:table-cell>'
    covered = "<table:covered-table-cell/>"
    rows = (
        _row("Country", "City", "x"),
        _row(merged, "Rome", "1"),
        _row(covered, "Milan", "2"),
        _row("Norway", "Oslo", "3"),
    )
    assert _sheets(_table(*rows))[2:] == [
        "Country: Italy; City: Milan; x: 2",
        "Country: Norway; City: Oslo; x: 3",
    ]


def test_a_cell_without_display_text_gives_its_value_and_comments_are_left_out() -> None:
    value = '<table:table-cell office:value="80"/>'
    comment = f"<table:table-cell><office:annotation>{_p('secret')}</office:annotation>{_p('Oslo')}</table:table-cell>"
    assert _sheets(_table(_row(comment, value))) == ["## Rates", "Oslo; 80"]


def test_slides_have_their_titles_as_headings_and_keep_their_notes() -> None:
    styles = '<style:style style:name="dp2"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    notes = (
        f"<presentation:notes>{_frame('Say this.', 'notes')}{_frame('7', 'page-number')}</presentation:notes>"
    )
    body = (
        f"<draw:page>{_frame('text', 'outline')}{_frame('Rates', 'title')}{_frame('every', 'footer')}{notes}</draw:page>"
        f'<draw:page draw:style-name="dp2">{_frame("secret")}</draw:page>'
        f"<draw:page><draw:g>{_frame('grouped')}</draw:g></draw:page>"
    )
    assert _slides(body, styles=styles) == ["## Rates", "text", "Notes: Say this.", "## Slide 3", "grouped"]


def test_an_encrypted_document_is_recognized_by_its_manifest() -> None:
    data = make_odf("text", _p("x"), manifest="<manifest:encryption-data/>")
    assert unreadable(with_part(data, "content.xml", b"\x07\x01"), "a.odt").reason == "encrypted"


def test_a_document_with_a_misplaced_type_is_read_by_its_name() -> None:
    parts = odf_parts("spreadsheet", _table(_row("a", "1")))
    late = zipped_document({**{name: parts[name] for name in reversed(parts)}})
    assert parse_document(late, "a.ods").text == "## Rates\n\na; 1"


def test_errors_name_limits_and_document_types(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_odf("text", _p("Text"))
    assert "document type" in str(
        unreadable(
            changed(data, "content.xml", "<office:document-content", "<!DOCTYPE x><office:document-content"),
            "a.odt",
        )
    )
    deep = "<text:span>" * 300 + "x" + "</text:span>" * 300
    assert "256 levels" in str(unreadable(make_odf("text", _p(deep)), "a.odt"))
    monkeypatch.setattr(odf, "MAX_XML_NODES", 10)
    assert str(unreadable(data, "a.odt")) == "too_large: It has more than 10 XML nodes. Split it."


def test_a_document_without_text_or_content() -> None:
    assert unreadable(make_odf("text", _p("")), "a.odt").reason == "empty"
    assert unreadable(with_part(make_odf("text", _p("x")), "content.xml", None), "a.odt").reason == "corrupt"


@pytest.mark.parametrize("kind", ["text", "spreadsheet", "presentation"])
def test_damage_gives_text_or_one_kind_of_error(kind: str) -> None:
    body = (
        _p("Travel", "Title")
        + _table(_row("City", "Rate"), _row("Oslo", "80"))
        + f"<draw:page>{_frame('a', 'title')}</draw:page>"
    )
    for data in mutants(make_odf(kind, body, styles=NUMBERED, title="T")):
        assert_text_or_unreadable(data)
