"""Documents in the form of ZIP archives, made by hand or by libraries, and possible damage to them."""

import io
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence

from pptx import Presentation
from pptx.util import Inches

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_ODF_NAMESPACES = (
    *("office", "text", "table", "style", "presentation"),
    *(f"{prefix}={name}" for prefix, name in (("draw", "drawing"), ("svg", "svg-compatible"))),
)
XHTML = "application/xhtml+xml"


def make_pptx(slides: Sequence[tuple[str, Sequence[str]]], title: str = "") -> bytes:
    """A presentation of slides with a title and the paragraphs of their text."""
    presentation = Presentation()
    presentation.core_properties.title = title
    for heading, paragraphs in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text_frame.text = "\n".join(paragraphs)
    return saved(presentation)


def saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def add_table(slide: object, rows: Sequence[Sequence[str]]) -> object:
    table = slide.shapes.add_table(len(rows), len(rows[0]), 0, 0, Inches(5), Inches(2)).table
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    return table


def odf_parts(
    kind: str, body: str, *, styles: str = "", title: str = "", manifest: str = ""
) -> dict[str, str]:
    """The parts of an OpenDocument file. `kind` is `text`, `spreadsheet` or `presentation`."""
    names = (item.partition("=") for item in _ODF_NAMESPACES)
    declared = " ".join(f'xmlns:{prefix}="{_ODF}{name or prefix}:1.0"' for prefix, _, name in names)
    return {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {declared}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document-content>",
        "meta.xml": f'<m xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></m>',
        "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
    }


def make_odf(kind: str, body: str, **parts: str) -> bytes:
    return zipped_document(odf_parts(kind, body, **parts))


def zipped_document(parts: Mapping[str, str | bytes]) -> bytes:
    """An archive with `mimetype` as its first member, stored uncompressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            method = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def epub_parts(
    chapters: Mapping[str, str], *, title: str = "", properties: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The parts of a book with these chapters by name, in reading order."""
    items = "".join(
        f'<item id="i{number}" href="{name}" media-type="{XHTML}" properties="{(properties or {}).get(name, "")}"/>'
        for number, name in sorted(enumerate(chapters), reverse=True)
    )
    spine = "".join(f'<itemref idref="i{number}"/>' for number in range(len(chapters)))
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata>'
        f'<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        **{f"OEBPS/{name}": chapter(body) for name, body in chapters.items()},
    }


def chapter(body: str) -> str:
    return (
        '<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title/></head><body>{body}</body></html>"
    )


def make_epub(chapters: Mapping[str, str], title: str = "") -> bytes:
    return zipped_document(epub_parts(chapters, title=title))


def with_part(data: bytes, name: str, content: str | bytes | None) -> bytes:
    """The archive with other content in a member, or without the member."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts: dict[str, str | bytes] = {it: archive.read(it) for it in archive.namelist()}
    parts.pop(name, None)
    return zipped_document(parts if content is None else {**parts, name: content})


def changed(data: bytes, name: str, old: str, new: str) -> bytes:
    """The archive with a replacement in a member."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = archive.read(name).decode()
    assert old in content
    return with_part(data, name, content.replace(old, new))


def with_password(data: bytes) -> bytes:
    """The archive with the mark of encryption on all its members."""
    marked = bytearray(data)
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = marked.find(signature)
        while position >= 0:
            marked[position + flags] |= 1
            position = marked.find(signature, position + 1)
    return bytes(marked)


def mutants(data: bytes, count: int = 150) -> Iterator[bytes]:
    """Yield damaged copies: cut off, with other bytes, and for archives with damage inside members."""
    chance = random.Random(7)
    is_archive = data.startswith(b"PK")
    members: dict[str, bytes] = {}
    if is_archive:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {
                it: archive.read(it)
                for it in archive.namelist()
                if it.endswith(("xml", "opf", "rels", "html"))
            }
    for number in range(count):
        kind = number % (5 if is_archive else 2)
        if kind == 0:
            yield data[: chance.randrange(len(data))]
        elif kind == 1:
            yield _with_other_bytes(data, chance)
        else:
            name = chance.choice(sorted(members))
            if kind == 2:
                yield with_part(
                    data, name, None if chance.random() < 0.2 else members[chance.choice(sorted(members))]
                )
            elif kind == 3:
                yield with_part(data, name, _with_other_bytes(members[name], chance))
            else:
                yield with_part(data, name, _with_another_number(members[name], chance))


def _with_other_bytes(data: bytes, chance: random.Random) -> bytes:
    changed_data = bytearray(data)
    for _ in range(chance.randrange(1, 20)):
        changed_data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(changed_data)


def _with_another_number(xml: bytes, chance: random.Random) -> bytes:
    """Usually still well-formed: an attribute has another value, or an element is gone."""
    parts = xml.split(b'"')
    if len(parts) > 2:
        parts[chance.randrange(1, len(parts), 2)] = chance.choice(
            [b"", b"0", b"-1", b"999999999", b"x", b"rId99"]
        )
    return b'"'.join(parts)
