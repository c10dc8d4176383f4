import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.pdf_files import encrypt_pdf, make_pdf

_PDF = make_pdf(["Leave policy\nEvery employee has 30 days.", "Second page"], title="HR Handbook")


def _reason(data: bytes) -> str:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, "a.pdf")
    return caught.value.reason


def test_pages_are_joined_by_a_blank_line_and_lines_are_kept() -> None:
    parsed = parse_document(_PDF, "hr/Handbook.PDF")
    assert parsed.text == "Leave policy\nEvery employee has 30 days.\n\nSecond page"
    assert parsed.title == "HR Handbook"
    assert parsed.parser_name == "pypdf"
    assert parsed.parser_version.startswith("1/")


@pytest.mark.parametrize("title", [None, "", "   "])
def test_a_pdf_without_a_title_has_none(title: str | None) -> None:
    assert parse_document(make_pdf(["text"], title=title), "a.pdf").title == ""


def test_a_pdf_that_needs_a_password_is_encrypted() -> None:
    assert _reason(encrypt_pdf(_PDF, "secret")) == "encrypted"


def test_a_pdf_whose_password_is_empty_is_read() -> None:
    assert "30 days" in parse_document(encrypt_pdf(_PDF, ""), "a.pdf").text


def test_aes_without_the_cryptography_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(PdfReader, "decrypt", missing)
    with pytest.raises(DocumentUnreadable, match=r"encrypted: .*Install the package `cryptography`"):
        parse_document(encrypt_pdf(_PDF, ""), "a.pdf")


def test_a_pdf_without_a_text_layer_is_empty_and_hints_at_ocr() -> None:
    with pytest.raises(DocumentUnreadable, match=r"empty: .*OCR"):
        parse_document(make_pdf(["", ""]), "scan.pdf")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.95])
def test_a_truncated_pdf_is_corrupt_not_half_a_document(share: float) -> None:
    assert _reason(_PDF[: int(len(_PDF) * share)]) == "corrupt"


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"<html>Not found</html>", b"\x00" * 1000, b"%PDF-1.4\n%%EOF"]
)
def test_what_is_not_a_pdf_is_corrupt(data: bytes) -> None:
    assert _reason(data) == "corrupt"


def test_a_zero_byte_pdf_is_empty() -> None:
    assert _reason(b"") == "empty"


def test_one_page_that_cannot_be_read_fails_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    extract = PageObject.extract_text

    def second_page_fails(self: PageObject) -> str:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("/Font")
        return extract(self)

    monkeypatch.setattr(PageObject, "extract_text", second_page_fails)
    assert _reason(_PDF) == "corrupt"


def test_pypdf_does_not_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        _reason(_PDF[:200])
        # A wrong offset makes pypdf rebuild its table, with warnings.
        wrong_offset = _PDF.replace(b"0000000009 00000 n", b"0000000011 00000 n")
        parse_document(wrong_offset, "a.pdf")
    assert [r for r in caplog.records if r.name.startswith("pypdf")] == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_PDF) - 1), st.integers(0, 255)), max_size=30))
def test_random_damage_gives_text_or_one_kind_of_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_PDF)
    for position, value in changes:
        data[position] = value
    try:
        outcome = parse_document(bytes(data), "a.pdf").text
    except DocumentUnreadable as error:
        outcome = error.reason
    assert outcome
