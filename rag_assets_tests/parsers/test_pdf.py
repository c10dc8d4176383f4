import io
import logging
import os
import shutil

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.pdf import PdfParser
from rag_assets_tests.parsers.pdf_files import encrypt_pdf, make_pdf
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable

_PDF = make_pdf(["Leave policy\nEvery employee has 30 days.", "Second page"], title="HR Handbook")


@pytest.fixture
def pdfium_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise pypdfium2.PdfiumError("Data format error", err_code=3)

    monkeypatch.setattr(pypdfium2, "PdfDocument", refuse)


@pytest.fixture
def tesseract() -> None:
    if shutil.which("tesseract") is None:
        if os.environ.get("CI"):
            pytest.fail("tesseract is not installed", pytrace=False)
        pytest.skip("tesseract is not installed")


def _scan(lines: str) -> bytes:
    """Return a PDF with a picture of these lines as its only page."""
    bitmap = pypdfium2.PdfDocument(make_pdf([lines]))[0].render(scale=3, grayscale=True)
    scan = pypdfium2.PdfDocument.new()
    page = scan.new_page(612, 792)
    picture = pypdfium2.PdfImage.new(scan)
    picture.set_bitmap(bitmap)
    picture.set_matrix(pypdfium2.PdfMatrix().scale(612, 792))
    page.insert_obj(picture)
    page.gen_content()
    out = io.BytesIO()
    scan.save(out)
    return out.getvalue()


def _reason(data: bytes) -> str:
    return unreadable(data, "a.pdf").reason


def test_pages_are_joined_by_a_blank_line_and_lines_are_kept() -> None:
    parsed = parse_document(_PDF, "hr/Handbook.PDF")
    assert parsed.text == "Leave policy\nEvery employee has 30 days.\n\nSecond page"
    assert parsed.title == "HR Handbook"
    assert parsed.parser_name == "pdf"
    assert parsed.parser_version.startswith("3/")


@pytest.mark.parametrize("title", [None, "", "   "])
def test_a_pdf_without_a_title_has_none(title: str | None) -> None:
    assert parse_document(make_pdf(["text"], title=title), "a.pdf").title == ""


def test_a_pdf_that_needs_a_password_is_encrypted() -> None:
    assert _reason(encrypt_pdf(_PDF, "secret")) == "encrypted"


def test_a_pdf_with_an_empty_password_is_read() -> None:
    assert "30 days" in parse_document(encrypt_pdf(_PDF, ""), "a.pdf").text


@pytest.mark.usefixtures("pdfium_refuses")
def test_pypdf_reads_files_refused_by_pdfium() -> None:
    parsed = parse_document(_PDF, "a.pdf")
    assert parsed.text == "Leave policy\nEvery employee has 30 days.\n\nSecond page"
    assert parsed.title == "HR Handbook"
    assert _reason(encrypt_pdf(_PDF, "secret")) == "encrypted"


@pytest.mark.usefixtures("pdfium_refuses")
def test_aes_without_cryptography_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(PdfReader, "decrypt", missing)
    with pytest.raises(DocumentUnreadable, match=r"encrypted: .*Install the package `cryptography`"):
        parse_document(encrypt_pdf(_PDF, ""), "a.pdf")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("an exam-\nple of it", "an example of it"),
        ("well-known, and well-\nknown", "well-known, and well-known"),
        ("in the Anglo-\nSaxon world", "in the Anglo-Saxon world"),
        ("the form A-\n", "the form A-"),
    ],
)
def test_a_word_divided_at_the_end_of_a_line_is_joined(lines: str, text: str) -> None:
    assert parse_document(make_pdf([lines]), "a.pdf").text == text


def test_a_pdf_with_too_many_pages_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.parsers.pdf.MAX_PAGES", 1)
    assert _reason(_PDF) == "too_large"


def test_a_scan_without_ocr_is_empty_and_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rag_assets.parsers.pdf.ocr_is_installed", lambda: False)
    with pytest.raises(DocumentUnreadable, match=r"empty: .*tesseract-ocr.*OCR"):
        parse_document(_scan("Leave policy"), "scan.pdf")


@pytest.mark.slow
@pytest.mark.usefixtures("tesseract")
def test_a_scan_is_read_by_ocr_within_the_limits_of_the_worker() -> None:
    workers = ParseWorkers(num_workers=1)
    try:
        text = workers.submit(
            PdfParser(), _scan("Leave policy\nEvery employee has 30 days."), "a.pdf"
        ).result()
    finally:
        workers.close()
    assert "Every employee has 30 days." in text.text


def test_blank_pages_are_not_a_scan() -> None:
    assert _reason(make_pdf(["", ""])) == "empty"
    assert parse_document(make_pdf(["", "text"]), "a.pdf").text == "text"


def test_installing_ocr_changes_the_version_so_that_scans_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions: set[str] = set()
    for installed in (False, True):
        monkeypatch.setattr("rag_assets.parsers.pdf.ocr_is_installed", lambda installed=installed: installed)
        versions.add(PdfParser().version)
    assert len(versions) == 2


def test_a_pdf_without_its_end_is_corrupt_even_if_pdfium_reads_it() -> None:
    without_end = _PDF[: _PDF.rindex(b"startxref")]
    assert len(pypdfium2.PdfDocument(without_end)) == 2
    assert _reason(without_end) == "corrupt"


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.95])
def test_a_truncated_pdf_is_corrupt_not_half_a_document(share: float) -> None:
    assert _reason(_PDF[: int(len(_PDF) * share)]) == "corrupt"


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"<html>Not found</html>", b"\x00" * 1000, b"%PDF-1.4\n%%EOF"]
)
def test_a_file_that_is_not_a_pdf_is_corrupt(data: bytes) -> None:
    assert _reason(data) == "corrupt"


def test_a_zero_byte_pdf_is_empty() -> None:
    assert _reason(b"") == "empty"


def test_an_unreadable_page_fails_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    load = pypdfium2.PdfDocument.get_page
    calls: list[int] = []
    extract = PageObject.extract_text

    def pdfium_fails(self: pypdfium2.PdfDocument, index: int) -> pypdfium2.PdfPage:
        if index == 1:
            raise pypdfium2.PdfiumError("Failed to load page.")
        return load(self, index)

    def second_page_fails(self: PageObject) -> str:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("/Font")
        return extract(self)

    monkeypatch.setattr(pypdfium2.PdfDocument, "get_page", pdfium_fails)
    assert "Second page" in parse_document(_PDF, "a.pdf").text
    monkeypatch.setattr(PageObject, "extract_text", second_page_fails)
    assert _reason(_PDF) == "corrupt"


@pytest.mark.usefixtures("pdfium_refuses")
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
    assert_text_or_unreadable(bytes(data), "a.pdf")
