import pytest

from rag_assets.parsers.registry import recognize
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import OLE, mutants


def _container(*streams: str) -> bytes:
    return OLE + b"".join(stream.encode("utf-16-le").ljust(128, b"\0") for stream in streams)


@pytest.mark.parametrize(
    ("stream", "advice"),
    [
        ("WordDocument", "save it as .docx"),
        ("Workbook", "save it as .xlsx"),
        ("Book", "save it as .xlsx"),
        ("PowerPoint Document", "save it as .pptx"),
    ],
)
@pytest.mark.parametrize("filename", ["a.doc", "a.txt", "a"])
def test_an_old_document_is_refused_with_advice(stream: str, advice: str, filename: str) -> None:
    error = unreadable(_container("Root Entry", stream), filename)
    assert (error.reason, advice in error.detail) == ("not_text", True)


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".pptx"])
def test_an_old_document_under_a_current_name_is_corrupt(suffix: str) -> None:
    assert unreadable(_container("WordDocument"), f"a{suffix}").reason == "corrupt"
    assert unreadable(OLE, f"a{suffix}").reason == "corrupt"


@pytest.mark.parametrize("filename", ["a.xlsx", "a.pptx", "a.docx", "a.bin"])
def test_a_document_with_a_password_is_encrypted(filename: str) -> None:
    assert unreadable(_container("EncryptionInfo", "EncryptedPackage"), filename).reason == "encrypted"


def test_a_message_with_an_attachment_is_not_an_office_document() -> None:
    message = _container("__properties_version1.0", "WordDocument")
    assert recognize(message, "a.msg").name == "plain_text"


def test_other_bytes_under_an_old_name_are_not_text() -> None:
    assert unreadable(b"words", "a.doc").reason == "not_text"


def test_damage_gives_one_kind_of_error() -> None:
    for data in mutants(_container("WordDocument")):
        assert_text_or_unreadable(data)
