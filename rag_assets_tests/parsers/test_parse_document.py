import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.parsers.plain_text import PlainTextParser
from rag_assets.parsers.registry import (
    PARSERS,
    may_be_document,
    may_be_part,
    recognize,
    supported_suffixes,
    version_of,
)
from rag_assets.records import ParsedDocument


class PanicException(BaseException):
    """The form of a panic in a Rust library."""


def _fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def parse(*_: object) -> ParsedDocument:
        raise error

    monkeypatch.setattr(PlainTextParser, "parse", parse)


def test_every_suffix_has_one_parser() -> None:
    suffixes = [suffix for parser in PARSERS for suffix in parser.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(supported_suffixes())
    assert {".pdf", ".html", ".htm", ".md", ".txt"} <= supported_suffixes()
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("a.pdf", "pdf"),
        ("A.HTML", "resiliparse"),
        ("x/y.Md", "markdown"),
        ("a.b.txt", "plain_text"),
        ("a.Docx", "docx"),
        ("a.json", "json"),
        ("a.jsonl", "json_lines"),
        ("a.NDJSON", "json_lines"),
        ("a.csv", "csv"),
        ("a.json.tsv", "csv"),
        ("README", "plain_text"),
        ("a.xyz", "plain_text"),
    ],
)
def test_unmistakable_bytes_come_before_the_ending_of_the_name(filename: str, name: str) -> None:
    assert recognize(b"words", filename).name == name


@pytest.mark.parametrize("filename", ["report.txt", "report", "report.html", "report.pdf"])
def test_a_pdf_is_recognized_under_any_name(filename: str) -> None:
    assert recognize(b"%PDF-1.7 ...", filename).name == "pdf"


_PAGE = b"\xef\xbb\xbf <!-- saved --> <!DOCTYPE html><html><body>x</body></html>"
_XHTML = b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html/>'
_MAIL = b"Received: from x\r\n\tby y\r\nDate: today\r\nFrom: a@b.c\r\n\r\nReceived"


@pytest.mark.parametrize(
    ("data", "filename", "name"),
    [
        (_PAGE, "a.txt", "resiliparse"),
        (_PAGE[3:].decode().encode("utf-16"), "page", "resiliparse"),
        (_XHTML, "a.xml", "resiliparse"),
        (_XHTML, "a.txt", "resiliparse"),
        (b'<?xml version="1.0"?><rss/>', "feed", "xml"),
        (b'<?xml version="1.0"?><rss/>', "a.svg", "xml"),
        (_MAIL, "message", "email"),
        (b"From: a\nDate: b\n\nMIME-Version: 1", "letter.txt", "plain_text"),
        (_PAGE, "a.md", "markdown"),
        (_XHTML, "a.rst", "restructured_text"),
        (_MAIL, "a.csv", "csv"),
        (b"# Write <html> first", "a.py", "plain_text"),
        (b"<!-- only --> <p>a paragraph", "a.txt", "plain_text"),
        (b"<!---->" * 500 + b"x", "a.txt", "plain_text"),
    ],
)
def test_whole_pages_feeds_and_mails_are_recognized_under_vague_names(
    data: bytes, filename: str, name: str
) -> None:
    assert recognize(data, filename).name == name


def test_the_version_of_a_container_changes_with_any_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    archive, csv = (parser for parser in PARSERS if parser.name in ("archive", "csv"))
    if archive.name == "csv":
        archive, csv = csv, archive
    before = version_of(archive)
    monkeypatch.setattr(csv, "version", "another")
    assert version_of(archive) != before


@pytest.mark.parametrize(
    ("filename", "worth_reading"),
    [("a.PDF", True), ("LICENSE", True), ("a/b.c/README", True), ("a.psd", False), ("a.md.bak", False)],
)
def test_a_file_is_worth_reading_by_its_name(filename: str, worth_reading: bool) -> None:
    assert may_be_document(filename) is worth_reading
    assert may_be_part(filename) is worth_reading


@pytest.mark.parametrize("filename", ["a.png", "a.JPG", "talk.mp3", "talk.m4a"])
def test_recordings_and_pictures_are_documents_but_not_parts(filename: str) -> None:
    assert may_be_document(filename)
    assert not may_be_part(filename)


def test_binary_data_of_no_known_format_is_not_text() -> None:
    with pytest.raises(DocumentUnreadable, match=r"not_text: .*NUL"):
        parse_document(b"x\0y", "a.xyz")


@pytest.mark.parametrize(
    "error", [KeyError("/Kids"), RecursionError("deep"), ValueError("x"), PanicException("rust")]
)
def test_any_exception_of_a_parser_makes_the_document_corrupt(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _fail_with(monkeypatch, error)
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"text", "a.txt")
    assert caught.value.reason == "corrupt"
    assert type(error).__name__ in caught.value.detail


def test_the_error_holds_nothing_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(monkeypatch, ValueError("salary of J. Doe: 100000"))
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"text", "a.txt")
    assert "salary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_document_that_needs_too_much_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(monkeypatch, MemoryError())
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"text", "a.txt")
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_an_interrupt_is_not_the_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _fail_with(monkeypatch, error)
    with pytest.raises(type(error)):
        parse_document(b"text", "a.txt")


def test_a_title_is_one_short_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    long_title = "Travel\n\n policy\x00 " + "x" * 500
    monkeypatch.setattr(PlainTextParser, "parse", lambda *_: ParsedDocument("text", long_title))
    title = parse_document(b"text", "a.txt").title
    assert title.startswith("Travel policy x")
    assert len(title) == 300


@pytest.mark.slow
def test_no_parser_library_is_loaded_until_it_is_needed() -> None:
    import subprocess
    import sys

    code = "import sys, rag_assets.parsers, rag_assets.sources.registry; print([m for m in sys.modules if m in {'pypdf', 'pypdfium2', 'docutils', 'defusedxml', 'resiliparse', 'tarfile', 'dagster', 'mammoth', 'pptx', 'openpyxl', 'lxml'}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
