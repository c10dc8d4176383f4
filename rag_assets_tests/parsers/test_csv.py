import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.refusals import unreadable


def _parse(source: str) -> list[str]:
    return parse_document(source.encode(), "a.csv").text.split("\n\n")


def _unreadable(source: str) -> DocumentUnreadable:
    return unreadable(source.encode(), "a.CSV")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("filename", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_each_value_of_a_row_has_its_label(delimiter: str, filename: str, line_end: str) -> None:
    rows = [["City", "Rate in EUR", "Valid"], ["Oslo", "80", "2026"], ["Rome", "60", "2026"]]
    source = line_end.join(delimiter.join(row) for row in rows)
    text = parse_document(source.encode(), filename).text
    assert text == "City: Oslo; Rate in EUR: 80; Valid: 2026\n\nCity: Rome; Rate in EUR: 60; Valid: 2026"


def test_the_same_bytes_give_the_same_text_under_any_name() -> None:
    # The ledger knows a parse by the hash of the bytes.
    data = b"a,b\tc\nd,e\tf\n"
    assert parse_document(data, "x.csv") == parse_document(data, "x.tsv")


@pytest.mark.parametrize(
    ("source", "paragraphs"),
    [
        ("Stadt;Preis\nRom;3,50\nOslo;4,20\n", ["Stadt: Rom; Preis: 3,50", "Stadt: Oslo; Preis: 4,20"]),
        # With a comma, every row has two columns too.
        ("Stadt, Land;Preis;x\nRom, IT;3;y\n", ["Stadt, Land: Rom, IT; Preis: 3; x: y"]),
        ('Was;Wer\n"a;b";Ada\nc;Bob\n', ["Was: a;b; Wer: Ada", "Was: c; Wer: Bob"]),
        ("sep=|\na|b,c\nd|e,f\n", ["a: d; b,c: e,f"]),
        ("SEP=;\r\na,b;c,d\r\ne,f;g,h\r\n", ["a,b: e,f; c,d: g,h"]),
        ("Name\nAda\nBob\n", ["Name: Ada", "Name: Bob"]),
        (
            "Remark\nYes, we do\nNo\nSometimes, it depends, on what\nNever\n",
            ["Remark: Yes, we do", "Remark: No", "Remark: Sometimes, it depends, on what", "Remark: Never"],
        ),
    ],
)
def test_the_most_regular_delimiter_is_used(source: str, paragraphs: list[str]) -> None:
    assert _parse(source) == paragraphs


@pytest.mark.parametrize(
    ("first_row", "is_header"),
    [
        ("Site,2025,2026", True),
        ("#,Name,Site", True),
        (",Name,Site", True),
        ("Oslo,80,12", False),
        ("Oslo,2026-01-01,x", False),
        ("Ada,ada@quillmere.example,x", False),
        ("Docs,https://quillmere.example,x", False),
        ("Oslo,12.5 %,x", False),
    ],
)
def test_the_first_row_is_the_header_unless_it_holds_values(first_row: str, is_header: bool) -> None:
    rows = _parse(f"{first_row}\nr1,r2,r3\nr4,r5,r6\n")
    assert len(rows) == (2 if is_header else 3)
    assert (rows[-1] == "r4; r5; r6") != is_header


def test_values_of_a_column_without_a_name_have_no_label() -> None:
    assert _parse(",Name,Site\n0,Ada,Rome\n1,Bob,Oslo\n") == [
        "0; Name: Ada; Site: Rome",
        "1; Name: Bob; Site: Oslo",
    ]


def test_a_row_with_few_names_is_not_a_header() -> None:
    assert _parse("Oslo,x,,,\na,b,c,d,e\nf,g,h,i,j\n") == ["Oslo; x", "a; b; c; d; e", "f; g; h; i; j"]


def test_values_without_a_header_have_no_labels() -> None:
    assert _parse("1,Oslo,80\n2,Rome,60\n") == ["1; Oslo; 80", "2; Rome; 60"]


def test_a_header_alone_is_the_text() -> None:
    assert _parse("City,Rate\n") == ["City; Rate"]


def test_lines_above_the_table_stay_paragraphs() -> None:
    source = (
        "Rates of 2026,,\n\nValid from March\nCity,Rate,Year\nOslo,80,2026\nRome,60,2026\nMilan,70,2026\n"
    )
    assert _parse(source)[:3] == ["Rates of 2026", "Valid from March", "City: Oslo; Rate: 80; Year: 2026"]


def test_quoted_cells_may_hold_delimiters_quotation_marks_and_line_ends() -> None:
    source = 'Name,Note\n"Lovelace, Ada","first line\r\nsecond ""line""\n\nthird"\n"5"" pipe",x\n'
    assert _parse(source) == [
        'Name: Lovelace, Ada; Note: first line second "line" third',
        'Name: 5" pipe; Note: x',
    ]


def test_quotation_marks_within_a_cell_are_text() -> None:
    assert _parse('Part,Size\npipe,5" wide\n"q"x,1\n')[0] == 'Part: pipe; Size: 5" wide'


def test_rows_may_be_longer_or_shorter_than_the_header_and_empty() -> None:
    source = "City,Rate,Year\nOslo\nRome,60,2026,extra,more\n,,\n\n  , ,\nMilan,,2026\nBari,1,2\n"
    assert _parse(source) == [
        "City: Oslo",
        "City: Rome; Rate: 60; Year: 2026; extra; more",
        "City: Milan; Year: 2026",
        "City: Bari; Rate: 1; Year: 2",
    ]


def test_a_column_name_ends_with_one_colon_and_is_not_a_heading() -> None:
    assert _parse("# of items,Site:\n3,Oslo\n4,Rome\n") == [
        "\\# of items: 3; Site: Oslo",
        "\\# of items: 4; Site: Rome",
    ]


@pytest.mark.parametrize("rest", ["", "\n", "\nRome,60\n", "\nRome,60"])
def test_an_unclosed_quotation_mark_fails_the_document(rest: str) -> None:
    error = _unreadable(f'City,Salary\n"Bari\n",1\nOslo,"80{rest}')
    assert error.reason == "corrupt"
    assert "line 4" in error.detail
    assert "Oslo" not in str(error)
    assert error.__context__ is None


def test_a_cell_that_swallows_the_rest_of_a_long_file_fails_the_document() -> None:
    rows = "Rome,60\n" * (csv.field_size_limit() // 8 + 1)
    assert "line 2" in _unreadable(f'City,Rate\nOslo,"80\n{rows}"\n').detail


def test_a_long_header_is_not_repeated_in_full() -> None:
    text = parse_document(("h" * 10_000 + ",b\n" + "x,y\n" * 1_000).encode(), "a.csv").text
    assert len(text) < 150_000


def test_many_empty_columns_cost_nothing() -> None:
    header = ",".join(f"c{number}" for number in range(20_000))
    assert _parse(f"{header}\n" + "x\n" * 2_000)[-1] == "c0: x"


@pytest.mark.parametrize("source", ["", "\n\n", ",,,\n,,\n", '""\n'])
def test_a_file_without_values_is_empty(source: str) -> None:
    assert _unreadable(source).reason == "empty"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found(encoding: str) -> None:
    source = "Straße;Größe\nKölner Straße;5 m²\n"
    assert parse_document(source.encode(encoding), "a.csv").text == "Straße: Kölner Straße; Größe: 5 m²"


def test_a_workbook_is_not_text_under_any_name() -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"PK\x03\x04" + bytes(100), "a.csv")
    assert caught.value.reason == "not_text"


def test_it_has_no_title() -> None:
    parsed = parse_document(b"a,b\nc,d\n", "a.csv")
    assert (parsed.title, parsed.parser_name) == ("", "csv")


_CELLS = st.text('abcXYZ \n\r",;|\t#', min_size=1, max_size=12).map(lambda cell: f"w{cell}w")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_CELLS, min_size=3, max_size=3), min_size=2, max_size=8), st.sampled_from(",;\t|"))
def test_written_cells_are_read_back(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([["one", "two", "three"], *rows])
    text = parse_document(f"sep={delimiter}\n{out.getvalue()}".encode(), "a.csv").text
    expected = [[" ".join(cell.split()) for cell in row] for row in rows]
    assert text.split("\n\n") == ["one: {}; two: {}; three: {}".format(*row) for row in expected]


@settings(max_examples=150, deadline=None)
@given(st.text('ab1,;|\t"\n\r .#=@-', max_size=200))
def test_any_text_gives_text_or_one_kind_of_error(source: str) -> None:
    try:
        outcome = parse_document(source.encode(), "a.csv").text
    except DocumentUnreadable as error:
        outcome = error.detail
        assert "cannot read it" not in outcome
    assert outcome
