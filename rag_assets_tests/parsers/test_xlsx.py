from collections.abc import Sequence
from datetime import date, datetime, time

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.worksheet.worksheet import Worksheet

from rag_assets.parsers import parse_document, sheets, xlsx
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.xlsx import XlsxParser
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import (
    changed,
    mutants,
    saved,
    with_part,
)

SHEET = "xl/worksheets/sheet1.xml"


def _workbook(rows: Sequence[Sequence[object]] = ()) -> tuple[Workbook, Worksheet]:
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Rates"
    for row in rows:
        sheet.append(list(row))
    return workbook, sheet


def _blocks(rows: Sequence[Sequence[object]]) -> list[str]:
    """The blocks of a sheet without its heading."""
    return parse_document(saved(_workbook(rows)[0]), "a.xlsx").text.split("\n\n")[1:]


@pytest.mark.parametrize("filename", ["a.xlsx", "a.txt", "a", "a.docx", "a.pdf"])
def test_a_workbook_is_recognized_under_any_name(filename: str) -> None:
    data = saved(_workbook([["City", "Rate"], ["Oslo", 80]])[0])
    parsed = parse_document(data, filename)
    assert (parsed.parser_name, parsed.text) == ("xlsx", "## Rates\n\nCity: Oslo; Rate: 80")


def test_sheets_keep_their_order_and_names_and_hidden_ones_are_left_out() -> None:
    workbook, _ = _workbook([["a", 1]])
    for name, state in (
        ("Hidden", "hidden"),
        ("Very", "veryHidden"),
        ("Empty", "visible"),
        ("Last", "visible"),
    ):
        sheet = workbook.create_sheet(name)
        sheet.sheet_state = state
        if name != "Empty":
            sheet.append([name, 2])
    workbook.create_chartsheet("Chart")
    workbook.move_sheet("Last", -4)
    assert parse_document(saved(workbook), "a.xlsx").text == "## Last\n\nLast; 2\n\n## Rates\n\na; 1"


def test_values_are_the_displayed_ones() -> None:
    workbook, sheet = _workbook([["City", "Share", "Price", "Day", "At", "Left", "Postcode", "Ok", "Float"]])
    sheet.append(
        ["Oslo", 0.125, 1234.5, date(2026, 3, 1), datetime(2026, 3, 1, 9, 30), time(8), 150, True, 0.1 + 0.2]
    )
    for cell, number_format in (("B2", "0.0%"), ("C2", "#,##0.00 [$€-407]"), ("G2", "00000")):
        sheet[cell].number_format = number_format
    assert parse_document(saved(workbook), "a.xlsx").text.split("\n\n")[1] == (
        "City: Oslo; Share: 12.5%; Price: 1234.50 €; Day: 2026-03-01; At: 2026-03-01 09:30; Left: 08:00; "
        "Postcode: 00150; Ok: TRUE; Float: 0.3"
    )


def test_a_formula_gives_its_stored_value() -> None:
    data = saved(_workbook([["City", "Rate"], ["Oslo", "=40*2"], ["Rome", "=1/0"]])[0])
    data = changed(data, SHEET, "<f>40*2</f><v></v>", "<f>40*2</f><v>80</v>")
    data = changed(data, SHEET, '<c r="B3"><f>1/0</f><v></v>', '<c r="B3" t="e"><f>1/0</f><v>#DIV/0!</v>')
    text = parse_document(data, "a.xlsx").text
    assert text == "## Rates\n\nCity: Oslo; Rate: 80\n\nCity: Rome; Rate: #DIV/0!"


def test_a_value_merged_over_rows_is_repeated_in_each() -> None:
    workbook, sheet = _workbook(
        [["Country", "City", "Rate"], ["Italy", "Rome", 60], [None, "Milan", 70], [None] * 3]
    )
    sheet.append(["Norway", "Oslo", 80])
    sheet.merge_cells("A2:A4")
    assert parse_document(saved(workbook), "a.xlsx").text.split("\n\n")[1:] == [
        "Country: Italy; City: Rome; Rate: 60",
        "Country: Italy; City: Milan; Rate: 70",
        "Country: Norway; City: Oslo; Rate: 80",
    ]


def test_lines_above_a_table_are_not_its_header() -> None:
    rows = [["Rates 2026"], [], ["in EUR"], ["City", "Rate"], ["Oslo", 80]]
    assert _blocks(rows) == ["Rates 2026", "in EUR", "City: Oslo; Rate: 80"]


def test_a_second_table_has_a_header_of_its_own() -> None:
    rows = [
        ["City", "Rate"],
        ["Oslo", 80],
        [],
        ["Item", "Note", "Price"],
        ["Cup", "blue", 3],
        ["Jug", "red", 9],
    ]
    assert _blocks(rows) == [
        "City: Oslo; Rate: 80",
        "Item: Cup; Note: blue; Price: 3",
        "Item: Jug; Note: red; Price: 9",
    ]


def test_an_empty_row_in_a_table_does_not_end_it() -> None:
    rows = [["City", "Rate", "Note"], ["Oslo", 80, "x"], [], ["Rome", 60, "y"], [], ["Bonn", "none", "z"]]
    assert _blocks(rows)[1:] == ["City: Rome; Rate: 60; Note: y", "City: Bonn; Rate: none; Note: z"]


def test_a_table_of_a_header_only_and_one_without_a_header() -> None:
    assert _blocks([["City", "Rate"]]) == ["City; Rate"]
    assert _blocks([["Oslo", 80], ["Rome", 60]]) == ["Oslo; 80", "Rome; 60"]


def test_text_like_a_heading_is_marked_as_text() -> None:
    assert _blocks([["# one"], ["City", "Rate"], ["# two", 3]]) == ["\\# one", "City: # two; Rate: 3"]


def test_comments_are_left_out_and_the_title_comes_from_the_properties() -> None:
    workbook, sheet = _workbook([["a", 1]])
    sheet["A1"].comment = Comment("secret", "me")
    workbook.properties.title = "Travel"
    parsed = parse_document(saved(workbook), "a.xlsx")
    assert (parsed.title, "secret" in parsed.text) == ("Travel", False)


def test_wrong_dimensions_cut_nothing_off() -> None:
    data = saved(_workbook([["City", "Rate"], ["Oslo", 80]])[0])
    assert "Oslo" in parse_document(changed(data, SHEET, 'ref="A1:B2"', 'ref="A1"'), "a.xlsx").text
    assert "Oslo" in parse_document(changed(data, SHEET, 'ref="A1:B2"', 'ref="A1:XFD1048576"'), "a.xlsx").text


def test_parts_without_values_may_be_broken() -> None:
    data = saved(_workbook([["a", 1]])[0])
    broken = with_part(with_part(data, "xl/theme/theme1.xml", "broken"), "docProps/custom.xml", "broken")
    assert parse_document(broken, "a.xlsx").text == "## Rates\n\na; 1"


def test_a_workbook_without_values_is_empty() -> None:
    assert unreadable(saved(_workbook()[0]), "a.xlsx").reason == "empty"


def test_errors_name_the_limits_of_a_workbook(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(_workbook([["City", "Rate"], *[["Oslo", 80]] * 50])[0])
    monkeypatch.setattr(sheets, "MAX_CELLS", 101)
    assert str(unreadable(data, "a.xlsx")) == "too_large: It has more than 101 cells with a value. Split it."
    monkeypatch.setattr(sheets, "MAX_CELLS", 102)
    parse_document(data, "a.xlsx")
    monkeypatch.setattr(xlsx, "MAX_XML_NODES", 100)
    assert "100 XML nodes" in str(unreadable(data, "a.xlsx"))
    monkeypatch.setattr(xlsx, "MAX_XML_BYTES", 1 << 10)
    assert unreadable(data, "a.xlsx").reason == "too_large"


def test_a_document_type_is_refused() -> None:
    data = saved(_workbook([["a", 1]])[0])
    for part in (SHEET, "xl/workbook.xml", "docProps/core.xml"):
        bomb = with_part(data, part, '<!DOCTYPE x [<!ENTITY e "needle">]><x>&e;</x>')
        assert (unreadable(bomb, "a.xlsx").reason, "document type" in str(unreadable(bomb, "a.xlsx"))) == (
            "corrupt",
            True,
        )


@pytest.mark.slow
def test_a_distant_cell_is_cheap() -> None:
    far = changed(
        saved(_workbook([["a", 1]])[0]),
        SHEET,
        "</sheetData>",
        '<row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>',
    )
    assert parse_document(far, "a.xlsx").text == "## Rates\n\na; 1\n\n7"


@pytest.mark.slow
def test_many_rows_are_read_within_the_limits_of_the_process() -> None:
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Rates")
    sheet.append(["City", "Rate", "Note"])
    for number in range(20_000):
        sheet.append([f"City {number}", number, "x"])
    workers = ParseWorkers(num_workers=1)
    try:
        parsed = workers.submit(XlsxParser(), saved(workbook), "a.xlsx").result()
    finally:
        workers.close()
    assert parsed.text.endswith("City: City 19999; Rate: 19999; Note: x")


def test_damage_gives_text_or_one_kind_of_error() -> None:
    workbook, sheet = _workbook([["City", "Rate"], ["Oslo", date(2026, 1, 1)], ["Rome", 60]])
    sheet.merge_cells("A2:A3")
    for data in mutants(saved(workbook)):
        assert_text_or_unreadable(data)
