import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.text.decoding import decode_text


def test_plain_text_has_no_title_and_is_normalized() -> None:
    parsed = parse_document(b"First line\r\nsecond  \r\n\r\n\r\n\r\nend\r\n", "a.TXT")
    assert (parsed.text, parsed.title, parsed.parser_name) == ("First line\nsecond\n\nend", "", "plain_text")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_utf8_is_never_mistaken_for_anything_else(text: str) -> None:
    assert decode_text(text.encode()) == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["plain", "Grüße, 旅費, 😀", "€"])
def test_a_byte_order_mark_decides(encoding: str, text: str) -> None:
    assert decode_text(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"\xfe\xff", "utf-16-be"), (b"\x00\x00\xfe\xff", "utf-32-be")]
)
def test_big_endian_marks_are_recognized(mark: bytes, encoding: str) -> None:
    assert decode_text(mark + "Grüße".encode(encoding)) == "Grüße"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_recognized_without_a_mark(encoding: str) -> None:
    text = "No mark: Grüße für 10 €.\r\nSecond line"
    assert decode_text(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Café"),
        ("cp1252", "„Größe“ – 10 € pro Stück…"),
        ("cp1252", "El niño comió piña en España"),
        ("cp1252", "Año nuevo"),
        ("cp1252", "São Paulo não é a capital"),
        ("cp1252", "Smörgåsbord på svenska"),
        ("latin-1", "crème brûlée"),
        ("cp1250", "Wniosek o urlop należy złożyć z wyprzedzeniem."),
        ("cp1251", "Привет, это документ"),
        ("koi8-r", "Привет, как дела? Это документ"),
        ("shift_jis", "これは日本語の文書です。経費精算の規程。"),
        ("euc-jp", "これは日本語の文書です。"),
        ("iso-2022-jp", "これは日本語の文書です。"),
        ("gbk", "这是一个中文文档,关于差旅费"),
        ("big5", "這是一個中文文件"),
        ("gb18030", "这是一个中文文档,关于差旅费的规定。"),
        ("euc_kr", "이것은 한국어 문서입니다"),
        ("mac_roman", "Die Größe der Prüfung für Übungen ist schön."),
        ("mac_roman", "L’été dernier, à côté de la forêt"),
        ("mac_roman", "El camión de la señora pasó por aquí"),
        ("cp850", "Die Größe der Prüfung für Übungen ist schön."),
        ("cp1253", "Αυτό είναι ένα έγγραφο"),
        ("cp1255", "זהו מסמך בעברית על נסיעות"),
        ("cp1256", "هذه وثيقة باللغة العربية"),
    ],
)
def test_older_encodings_are_recognized(encoding: str, text: str) -> None:
    assert decode_text(text.encode(encoding)) == text


def test_the_first_foreign_letter_may_be_far_from_the_start() -> None:
    text = "plain English text, line by line.\n" * 20_000 + "Привет, это документ"
    assert decode_text(text.encode("cp1251")) == text


def test_a_text_about_html_declares_nothing() -> None:
    text = 'Write <meta charset="iso-8859-7"> for the Größe.'
    assert decode_text(text.encode("cp1252")) == text


def test_a_few_broken_bytes_do_not_turn_a_utf8_text_into_gibberish() -> None:
    text = "Grüße aus Köln, schöne Tage. " * 40
    broken = text[:500].encode() + b"\xff" + text[500:].encode() + "ü".encode()[:1]
    assert decode_text(broken).replace("\ufffd", "") == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + b"x" * 100,
        b"\xff\xd8\xff\xe0JFIF",
        b"GIF89a" + b"x" * 100,
        b"\x7fELF" + b"x" * 100,
        b"%!PS-Adobe-3.0\n/show { moveto } def\n",
        b"a long text with " * 50 + b"one \x00 byte",
        bytes(range(1, 256)) * 10,
        random.Random(7).randbytes(5_000),
        bytes(b for b in random.Random(7).randbytes(5_000) if b),
        b"\xff\xfe" + b"\x00\xd8" * 20,
        b"\xff\xfeodd",
        b"\xff\xfe\x00\x00\xff\xff\xff\xff",
        "nul \x00 inside".encode("utf-16"),
        "nul \x00 inside".encode("utf-8-sig"),
    ],
    ids=lambda data: repr(data[:12]),
)
@pytest.mark.parametrize("filename", ["a.txt", "a.md", "a.html"])
def test_binary_content_is_not_text_under_any_name(data: bytes, filename: str) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, filename)
    assert caught.value.reason == "not_text"


@pytest.mark.parametrize(
    "data",
    [
        b"N\x08NA\x08AM\x08ME\x08E\nls - list directory contents",
        b"\x1b[31mred\x1b[0m \x1b[1mbold\x1b[0m",
        b"page one\x0cpage two\x0b",
        b"an old DOS file\r\n\x1a",
        b"one stray \x01 in a text that is long enough to be taken for what it is" * 2,
    ],
)
def test_texts_may_hold_common_control_characters(data: bytes) -> None:
    assert parse_document(data, "a.txt").text


@pytest.mark.parametrize("data", [b"", b" \r\n\t ", b"\xef\xbb\xbf", "\u200b\u00ad\n".encode(), b"\xff\xfe"])
def test_a_file_without_text_is_empty(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, "a.txt")
    assert caught.value.reason == "empty"


def test_ten_megabytes_are_decoded() -> None:
    parse_document(("plain text, line by line.\n" * 400_000 + "Größe").encode("cp1252"), "a.txt")
