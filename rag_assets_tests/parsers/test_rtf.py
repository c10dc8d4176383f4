import pytest

from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import mutants

HEAD = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f1\fcharset2 Symbol;}"
    r"{\f2\fcharset204 Arial CYR;}{\f3\fcharset128 MS Mincho;}}{\colortbl;\red0\green0\blue0;}"
    r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0\b heading 1;}{\s2 heading 2;}{\*\cs10 Font;}{\s5 Title;}}"
)


def _rtf(body: str, head: str = HEAD) -> bytes:
    return f"{head}{body}}}".encode("latin-1")


def _text(body: str) -> str:
    return parse_document(_rtf(body), "a.rtf").text


@pytest.mark.parametrize("filename", ["a.rtf", "a.doc", "a.txt", "a", "a.docx"])
def test_rtf_is_recognized_under_any_name(filename: str) -> None:
    parsed = parse_document(_rtf(r"Text\par"), filename)
    assert (parsed.parser_name, parsed.text) == ("rtf", "Text")


def test_headings_are_recognized_by_style_and_are_below_the_title() -> None:
    body = (
        r"\pard\s5 Travel\par\pard\s1 Rates\par\pard\s2 Rome\par\pard\outlinelevel1 Milan\par\pard # text\par"
    )
    assert _text(body).split("\n\n") == ["# Travel", "## Rates", "### Rome", "### Milan", "\\# text"]


def test_the_title_comes_from_the_properties_else_the_first_heading() -> None:
    body = r"\pard\s1 Rates\par"
    assert parse_document(_rtf(r"{\info{\title Tr\'e4vel}{\author secret}}" + body), "a").title == "Trävel"
    assert parse_document(_rtf(body), "a").title == "Rates"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"caf\'e9", "café"),
        (r"{\f2 \'cf\'f0\'e8}", "При"),
        (r"{\f3 \'83\'65\'83X\'83g}", "テスト"),  # the second byte of a character may be a letter
        (r"\u8364?5", "€5"),
        (r"\uc2\u8364\'80\'805", "€5"),
        (r"\u-10179?\u-8704?", "😀"),
        (r"\uc0\u8364 5", "€5"),
        (r"a\tab b\~c\_d\emdash\lquote x\rquote", "a b c-d—‘x’"),
        (r"\{a\}\\", "{a}\\"),
        (r"a\line b", "a\nb"),
        ("a\r\nb", "ab"),
        (r"{\b bold}ly", "boldly"),
    ],
)
def test_characters_are_decoded(source: str, text: str) -> None:
    assert _text(source + r"\par") == text


def test_groups_without_text_are_left_out() -> None:
    body = (
        r"{\header head}{\footer foot}a{\pict\wmetafile8 0102}{\*\unknown{\x y}}b{\pict\bin5 }}}}}}c"
        r"{\field{\*\fldinst HYPERLINK \"http://localhost:1\"}{\fldrslt d}}{\*\annotation secret}\par"
    )
    assert _text(body) == "abcd"


def test_changes_count_as_accepted_and_the_other_reading_is_left_out() -> None:
    assert (
        _text(r"Travel is {\deleted forbidden}{\revised allowed}{\upr{x}{\*\ud .}}\par")
        == "Travel is allowed."
    )


def test_notes_come_last_under_their_numbers() -> None:
    body = r"Taxi{\super\chftn}{\footnote\pard\plain {\chftn} With\par receipt.} or{\footnote Two} train\par After\par"
    assert _text(body) == "Taxi[1] or[2] train\n\nAfter\n\n  1. With receipt.\n  2. Two"


def test_a_list_keeps_its_marks() -> None:
    assert _text(r"{\listtext\f1\'b7\tab}one\par{\pntext 2.\tab}two\par") == "• one\n\n2. two"


def _row(*cells: str, mark: str = "") -> str:
    return rf"\trowd{mark}\intbl " + "".join(rf"\pard\intbl {cell}\cell" for cell in cells) + r"\row"


def test_each_value_of_a_table_row_has_its_label() -> None:
    marked = _row("City", "Rate", mark=r"\trhdr") + _row("Oslo", r"80\par EUR") + r"\pard After\par"
    assert _text(r"Before\par" + marked).split("\n\n") == ["Before", "City: Oslo; Rate: 80 EUR", "After"]
    assert _text(_row("City", "Rate", "x") + _row("Oslo", "80", "y")) == "City: Oslo; Rate: 80; x: y"
    assert _text(_row("City", "Rate") + _row("Oslo", "80")) == "City; Rate\nOslo; 80"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_a_truncated_document_is_corrupt_not_half_a_document(share: float) -> None:
    data = _rtf("".join(rf"Paragraph {number}.\par " for number in range(100)))
    assert unreadable(data[: int(len(data) * share)], "a.rtf").reason == "corrupt"


def test_bytes_after_the_document_are_ignored() -> None:
    assert parse_document(_rtf(r"Text\par") + b"\0 rest}", "a.rtf").text == "Text"


def test_absurd_numbers_and_nesting_are_harmless() -> None:
    assert _text(r"\s9999999999\uc9999999999 a\u9999999999 b\bin-5 \outlinelevel77\f-1 c\par")
    assert "1000 levels" in str(unreadable(_rtf("{" * 5_000 + "x" + "}" * 5_000), "a.rtf"))
    assert unreadable(_rtf(r"\par"), "a.rtf").reason == "empty"
    assert unreadable(b"no RTF", "a.rtf").reason == "corrupt"


def test_damage_gives_text_or_one_kind_of_error() -> None:
    body = r"\pard\s1 Rates\par " + _row("City", "Rate") + r"{\f3 \'83\'65}\u-10179?{\footnote n}\par"
    for data in mutants(_rtf(body), count=300):
        assert_text_or_unreadable(data)
