import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import zip_container
from rag_assets.parsers.base import RecognizesContent
from rag_assets.parsers.registry import PARSERS, recognize
from rag_assets.parsers.zip_container import ZipContainer, declared_type, holds_member, holds_office_part
from rag_assets_tests.parsers.docx_files import make_docx, paragraph, zipped
from rag_assets_tests.parsers.zip_documents import make_epub, make_odf, make_pptx, with_password

KINDS = {
    "docx": make_docx(paragraph("Text")),
    "pptx": make_pptx([("Title", ["Text"])]),
    "odf": make_odf("text", "<text:p>Text</text:p>"),
    "epub": make_epub({"a.xhtml": "Text"}),
}


def _unreadable(data: bytes, name: str = "a.xml", max_bytes: int = 1_000) -> DocumentUnreadable:
    with pytest.raises(DocumentUnreadable) as caught:
        ZipContainer(data).check_xml([name], max_bytes=max_bytes, max_nodes=10)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", ["{}", "{}comment", "before{}"])
def test_each_kind_is_recognized_by_the_members(kind: str, around: str) -> None:
    before, _, after = around.partition("{}")
    data = KINDS[kind]
    if after:
        data = data[:-2] + len(after).to_bytes(2, "little") + after.encode()
    if before:
        data = b"PK" + before.encode() + data
        if kind in ("odf", "epub"):
            return  # these formats begin with their type
    recognizing = [it.name for it in PARSERS if isinstance(it, RecognizesContent) and it.recognizes(data)]
    assert recognizing == [kind]


def test_an_archive_of_other_things_is_an_archive() -> None:
    for parts in (
        {"a.txt": "word/"},
        {"word/document.xml": "x"},
        {"[Content_Types].xml": "x", "words/x": "x"},
    ):
        assert recognize(zipped(parts), "a.zip").name == "archive"


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"PK", b"PK\x03\x04" + bytes(26) + b"mimetype"]),
    st.booleans(),
)
def test_looking_into_bytes_never_fails(data: bytes, start: bytes, with_end: bool) -> None:
    data = start + data + (b"PK\x05\x06" + data[:22] if with_end else b"")
    assert declared_type(data) is not None
    assert not holds_office_part(data, "word/")
    assert not holds_member(data, "no such member")


def test_only_the_start_of_an_endless_directory_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped({**{f"a{number}": "" for number in range(50)}, "wanted": ""})
    assert holds_member(data, "wanted")
    monkeypatch.setattr(zip_container, "_MAX_LOOKED_AT_MEMBERS", 50)
    assert not holds_member(data, "wanted")


def test_unchecked_parts_cannot_be_read() -> None:
    container = ZipContainer(zipped({"a.xml": "<a/>", "b.xml": "<b/>"}))
    container.check_xml(["a.xml"], max_bytes=100, max_nodes=10)
    assert container.read("a.xml") == b"<a/>"
    for name in ("b.xml", "gone.xml"):
        with pytest.raises(DocumentUnreadable, match="missing"):
            container.read(name)


@pytest.mark.parametrize(
    ("xml", "reason", "detail"),
    [
        ("<a>" + " " * 1_000 + "</a>", "too_large", "unpacks to more than"),
        ("<a>" + "<b c=''/>" * 5 + "</a>", "too_large", "10 XML nodes"),
        ("<!DOCTYPE a><a/>", "corrupt", "document type"),
        ("<!-- --><!DOCTYPE a SYSTEM 'http://localhost:1/'><a/>", "corrupt", "document type"),
    ],
)
def test_a_part_over_a_limit_is_refused(xml: str, reason: str, detail: str) -> None:
    error = _unreadable(zipped({"a.xml": xml}))
    assert (error.reason, detail in error.detail) == (reason, True)


def test_nesting_has_a_limit() -> None:
    data = zipped({"a.xml": "<a>" * 300 + "</a>" * 300})
    with pytest.raises(DocumentUnreadable, match="256 levels"):
        ZipContainer(data).check_xml(["a.xml"], max_bytes=10_000, max_nodes=1_000)


def test_an_unnatural_ratio_is_refused() -> None:
    data = zipped({"a.xml": "<a>" + " " * (17 << 20) + "</a>"})
    assert "200 times its size" in str(_unreadable(data, max_bytes=1 << 30))


def test_the_number_of_members_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_container, "MAX_MEMBERS", 2)
    ZipContainer(zipped({"a": "", "b": ""}))
    with pytest.raises(DocumentUnreadable, match="too_large: It has more than 2 parts"):
        ZipContainer(zipped({"a": "", "b": "", "c": ""}))


def test_members_with_shared_bytes_are_refused() -> None:
    data = bytearray(zipped({"a.xml": "<a/>" * 10, "b.xml": "<b/>" * 10}))
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    with pytest.raises(DocumentUnreadable, match="overlap"):
        ZipContainer(bytes(data))


def test_a_password_is_distinguished_from_damage() -> None:
    assert _unreadable(with_password(zipped({"a.xml": "<a/>"}))).reason == "encrypted"


def test_a_copy_holds_only_checked_parts() -> None:
    container = ZipContainer(zipped({"a.xml": "<a/>", "../b.xml": "<b/>"}))
    container.check_xml(["a.xml"], max_bytes=100, max_nodes=10)
    with zipfile.ZipFile(io.BytesIO(container.copy(["a.xml"]).getvalue())) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.xml": b"<a/>"}
