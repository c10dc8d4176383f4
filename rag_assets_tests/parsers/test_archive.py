import bz2
import gzip
import lzma
import os
import struct

import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import nested, parse_document
from rag_assets.parsers.archive import ArchiveParser
from rag_assets.parsers.isolation import ParseLimits, ParseWorkers
from rag_assets.parsers.registry import recognize
from rag_assets_tests.parsers.archive_files import make_tar, make_zip
from rag_assets_tests.parsers.damage import outcomes_of_damage
from rag_assets_tests.parsers.pdf_files import make_pdf
from rag_assets_tests.parsers.refusals import unreadable

_MEMBERS = {"b/guide.md": b"# Guide\n\ntext\n\n```\nopen", "a.txt": b"text a", "c.pdf": make_pdf(["page"])}
_TEXT = "# a.txt\n\ntext a\n\n# b/guide.md\n\n## Guide\n\ntext\n\n```\nopen\n```\n\n# c.pdf\n\npage"


def _refused(data: bytes, filename: str = "a.zip") -> DocumentUnreadable:
    return unreadable(data, filename)


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (make_zip(_MEMBERS), "a.zip"),
        (make_zip(_MEMBERS), "without-ending"),
        (make_tar(_MEMBERS), "a.tar"),
        (make_tar(_MEMBERS, "w:gz"), "a.tar.gz"),
        (make_tar(_MEMBERS, "w:bz2"), "a.tbz2"),
        (make_tar(_MEMBERS, "w:xz"), "a.tar.xz"),
    ],
)
def test_members_are_sections_in_the_order_of_their_paths(data: bytes, filename: str) -> None:
    parsed = parse_document(data, filename)
    assert (parsed.text, parsed.parser_name) == (_TEXT, "archive")


@pytest.mark.parametrize(
    ("pack", "suffix"), [(gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz")]
)
def test_a_single_compressed_file_is_read_as_if_uncompressed(pack: object, suffix: str) -> None:
    assert callable(pack)
    parsed = parse_document(pack(make_pdf(["page"], title="Title")), f"a.pdf.{suffix}")
    assert (parsed.text, parsed.title) == ("page", "Title")
    assert parse_document(pack(b"# A\n\ntext"), f"a.md.{suffix}").title == "A"


def test_members_ignored_in_folders_are_left_out() -> None:
    others = dict.fromkeys(
        ("x.png", ".git/a.txt", "__MACOSX/a.txt", "../up.txt", "/abs.txt", "C:/x.txt"), b"secret"
    )
    assert parse_document(make_zip({**_MEMBERS, **others}), "a.zip").text == _TEXT
    tar = make_tar({**_MEMBERS, "../up.txt": b"secret"}, links={"link.txt": "/etc/passwd"})
    assert parse_document(tar, "a.tar").text == _TEXT


def test_an_unreadable_member_is_named_and_harms_only_itself() -> None:
    data = make_zip(
        {"a.txt": b"text a", "in.zip": make_zip({"bad.pdf": b"%PDF-"}), "z.docx": b"PK", "e.txt": b" "}
    )
    expected = "# a.txt\n\ntext a\n\n# Could not be read\n\nin.zip (corrupt)\nz.docx (corrupt)"
    assert parse_document(data, "a.zip").text == expected
    assert _refused(make_zip({"bad.pdf": b"x"})).reason == "corrupt"
    assert _refused(make_zip({"a.png": b"x"})).reason == "empty"


def test_an_encrypted_member_is_encrypted() -> None:
    data = bytearray(make_zip({"a.txt": b"text"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert _refused(bytes(data)).reason == "encrypted"


def test_office_documents_and_books_are_not_archives() -> None:
    word = make_zip({"word/document.xml": b"x", "[Content_Types].xml": b"x"})
    book = make_zip({"mimetype": b"application/epub+zip", "a.xhtml": b"x"})
    holding = make_zip({"a.docx": word, "notes/[Content_Types].xml.txt": b"x"})
    assert not ArchiveParser().recognizes(word)
    assert not ArchiveParser().recognizes(book)
    assert ArchiveParser().recognizes(holding)
    assert not ArchiveParser().recognizes(holding[:-30])


@pytest.mark.parametrize("filename", ["a.md", "a.html", "a.pdf", "a.docx"])
def test_under_a_name_of_another_format_an_archive_is_refused(filename: str) -> None:
    assert recognize(make_zip(_MEMBERS), filename).name != "archive"
    assert _refused(make_zip(_MEMBERS), filename).reason in ("not_text", "corrupt")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("filename", ["a.zip", "a.tar", "a.tgz", "a.txt.gz", "a.txt.xz", "a.txt.bz2"])
def test_half_an_archive_is_corrupt(filename: str, share: float) -> None:
    text = os.urandom(30_000).hex().encode()
    members = {"a.txt": text[:20_000], "b.txt": text[20_000:]}
    whole = {
        "a.zip": make_zip(members),
        # without the zeros that fill its last record
        "a.tar": make_tar(members).rstrip(b"\0"),
        "a.tgz": make_tar(members, "w:gz"),
        "a.txt.gz": gzip.compress(text),
        "a.txt.xz": lzma.compress(text),
        "a.txt.bz2": bz2.compress(text),
    }[filename]
    assert _refused(whole[: int(len(whole) * share)], filename).reason == "corrupt"


def test_a_tar_archive_cut_between_two_members_is_corrupt() -> None:
    data = make_tar({"a.txt": b"text a", "b.txt": b"text b"})
    assert _refused(data[: data.index(b"b.txt")], "a.tar").reason == "corrupt"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_too_large(pack: object) -> None:
    assert callable(pack)
    error = _refused(pack(b"x" * 11 * 1024 * 1024), "a.txt.gz")
    assert (error.reason, "unpacks to more than" in error.detail) == ("too_large", True)


def test_limits_hold_for_all_levels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = make_zip({f"{number}.txt": b"x" for number in range(4)})
    monkeypatch.setattr(nested.Budget, "__init__", _small_budget)
    assert "too_large" in str(_refused(make_zip({"a.zip": inner, "b.zip": inner})))


def _small_budget(self: nested.Budget, unpacked_bytes: int) -> None:
    self.unpacked_bytes, self.documents, self.depth = unpacked_bytes, 6, 0


def test_archives_in_archives_have_a_depth_limit() -> None:
    data, depth = make_zip({"a.txt": b"deep"}), 1
    while depth < nested.MAX_DEPTH:
        data, depth = make_zip({"a.zip": data}), depth + 1
    assert parse_document(data, "a.zip").text.endswith("deep")
    assert _refused(make_zip({"a.zip": data})).reason == "too_large"


def _overlapping_zip() -> bytes:
    """Return an archive of a thousand entries, all of them the same million bytes."""
    whole = make_zip({"0000.txt": b"x" * 1_000_000})
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start : whole.index(b"PK\x05\x06")], whole[whole.index(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"0000.txt", b"%04d.txt" % number) for number in range(1_000))
    counts = struct.pack("<HHLL", 1_000, 1_000, len(entries), start)
    return whole[:start] + entries + end[:8] + counts + end[20:]


def _bombs() -> dict[str, bytes]:
    zeros = bytes(1_000_000)
    gzipped = gzip.compress(b"x" * 300_000_000, compresslevel=1)
    return {
        "bomb.txt.gz": gzipped,
        "bomb.zip": make_zip(
            {f"{number}.zip": make_zip({"a.txt": b"x" * 30_000_000}) for number in range(10)}
        ),
        "overlapping.zip": _overlapping_zip(),
        "twice.gz.gz": gzip.compress(gzipped),
        "header.tgz": gzip.compress(
            make_tar({"a.txt": zeros}).replace(b"%011o" % 1_000_000, b"%011o" % 8_000_000_000, 1)
        ),
    }


@pytest.mark.slow
def test_bombs_stay_within_the_limits_of_the_process() -> None:
    workers = ParseWorkers(ParseLimits(seconds=20, memory_bytes=600 * 1024 * 1024), num_workers=1)
    try:
        for filename, data in _bombs().items():
            with pytest.raises(DocumentUnreadable) as caught:
                workers.submit(ArchiveParser(), data, filename).result()
            assert caught.value.reason in ("too_large", "corrupt"), filename
        assert workers.submit(ArchiveParser(), make_zip(_MEMBERS), "a.zip").result().text == _TEXT
    finally:
        workers.close()


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (make_zip(_MEMBERS), "a.zip"),
        (make_tar(_MEMBERS), "a.tar"),
        (make_tar(_MEMBERS, "w:gz"), "a.tgz"),
        (make_tar(_MEMBERS, "w:xz"), "a.txz"),
    ],
)
def test_damage_gives_text_or_one_kind_of_error(data: bytes, filename: str) -> None:
    assert "corrupt" in outcomes_of_damage(data, filename)
