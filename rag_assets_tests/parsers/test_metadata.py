"""Every format gives the metadata that its documents hold, and no text is lost because of them."""

import gzip
import io
import json
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import openpyxl
import pytest
from pptx import Presentation
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, NumberObject, StreamObject

from rag_assets.document_metadata.normalization import MAX_BYTES, MAX_KEYS
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers import parse_document
from rag_assets.parsers.pdf_properties import pdf_properties
from rag_assets_tests.parsers.docx_files import docx_parts, paragraph, zipped
from rag_assets_tests.parsers.pdf_files import encrypt_pdf, make_pdf
from rag_assets_tests.parsers.zip_documents import epub_parts, odf_parts, saved, with_part, zipped_document

BODY = "Twenty days of leave."


def metadata_of(data: bytes | str, filename: str) -> Metadata:
    parsed = parse_document(data.encode() if isinstance(data, str) else data, filename)
    assert BODY in parsed.text
    return parsed.metadata


# Markdown

FRONT_MATTER = """
title: Leave
year: 2024
share: 0.5
draft: false
country: NO
opens: 12:30
code: "007"
zip: 01234
tags: [hr, leave]
keywords: a, b
reviewed: 2024-01-31
at: 2024-01-31 10:00:00+02:00
owner:
  team: People
empty:
api_key: sk-1
"""


def markdown(front_matter: str) -> Metadata:
    return metadata_of(f"---\n{front_matter.strip()}\n---\n# Leave\n\n{BODY}\n", "a.md")


def test_front_matter_has_the_types_of_yaml() -> None:
    said = markdown(FRONT_MATTER)
    assert dict(said) == {
        "year": 2024,
        "share": 0.5,
        "draft": False,
        "country": "NO",
        "opens": "12:30",
        "code": "007",
        "zip": "01234",
        "tags": ("hr", "leave"),
        "keywords": ("a", "b"),
        "reviewed": "2024-01-31T00:00:00Z",
        "at": "2024-01-31T08:00:00Z",
        "owner_team": "People",
    }
    assert said.left_out == ("secret: api_key",)


def test_in_front_matter_a_broken_date_is_left_out_and_a_huge_number_is_a_text() -> None:
    said = markdown("date: 2024-02-30\nbig: " + "9" * 5000 + "\nother: !unknown x\nyear: 2024")
    assert dict(said) == {"big": "9" * 500, "other": "x", "year": 2024}
    assert said.left_out == ("broken date: date", "cut: big")


@pytest.mark.parametrize(
    "front_matter",
    [
        "title: {{ title }}",
        "a: [1, 2",
        "a: *unknown",
        "- a\n- b",
        "a: " + "[" * 10_000,
        "a:\n" + "".join(f" b{number}: x\n" for number in range(10_000)),
    ],
    ids=["template", "open bracket", "unknown anchor", "a list", "deep", "too large"],
)
def test_unreadable_front_matter_is_named_and_the_text_stays(front_matter: str) -> None:
    said = markdown(front_matter)
    assert dict(said) == {}
    assert said.left_out == ("not readable: front matter",)


def test_aliases_that_multiply_are_bounded() -> None:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{" + ", ".join(f"k{m}: *a{n - 1}" for m in range(9)) + "}" for n in range(1, 30)]
    said = markdown("\n".join(lines))
    assert 0 < len(said) <= MAX_KEYS


# reStructuredText


def test_the_field_list_of_restructured_text() -> None:
    source = f"""
=====
Leave
=====

:Author: Ann
:Version: 1.2
:Date: 2024-01-31
:Status: draft
:Doc-Type: policy
:Keywords: a, b

{BODY}
"""
    assert dict(metadata_of(source, "a.rst")) == {
        "author": "Ann",
        "version": "1.2",
        "date": "2024-01-31T00:00:00Z",
        "status": "draft",
        "doc_type": "policy",
        "keywords": ("a", "b"),
    }
    assert dict(metadata_of(f"Leave\n=====\n\n{BODY}\n", "a.rst")) == {}


# Office

CORE = """<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">
<dc:title>Leave</dc:title><dc:creator>Ann</dc:creator><cp:lastModifiedBy>Bob</cp:lastModifiedBy><dc:subject>Rules</dc:subject>
<cp:keywords>hr; leave</cp:keywords><dc:description>Of all sites</dc:description><cp:category>Policy</cp:category>
<cp:contentStatus>Final</cp:contentStatus><cp:revision>7</cp:revision>
<dcterms:created>2024-01-31T10:00:00Z</dcterms:created><dcterms:modified>2024-02-29T10:00:00Z</dcterms:modified>
</cp:coreProperties>"""
CUSTOM = """<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/custom-properties"
 xmlns:vt="http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes">
<property name="Department"><vt:lpwstr>HR</vt:lpwstr></property>
<property name="Fiscal Year"><vt:i4>2024</vt:i4></property>
<property name="Share"><vt:r8>0.5</vt:r8></property>
<property name="Bad"><vt:r8>NaN</vt:r8></property>
<property name="Worse"><vt:i4>many</vt:i4></property>
<property name="Approved"><vt:bool>true</vt:bool></property>
<property name="Valid From"><vt:filetime>2024-03-01T00:00:00Z</vt:filetime></property>
<property name="Sites"><vt:vector><vt:lpstr>Rome</vt:lpstr><vt:lpstr>Oslo</vt:lpstr></vt:vector></property>
<property name="Empty"><vt:empty/></property><property/>
</Properties>"""
OF_OFFICE = {
    "author": "Ann",
    "last_modified_by": "Bob",
    "subject": "Rules",
    "keywords": ("hr", "leave"),
    "description": "Of all sites",
    "category": "Policy",
    "status": "Final",
    "created": "2024-01-31T10:00:00Z",
    "modified": "2024-02-29T10:00:00Z",
    "department": "HR",
    "fiscal_year": 2024,
    "share": 0.5,
    "worse": "many",
    "approved": True,
    "valid_from": "2024-03-01T00:00:00Z",
    "sites": ("Rome", "Oslo"),
}


def docx(core: str | bytes, custom: str | bytes) -> bytes:
    parts: dict[str, str | bytes] = {**docx_parts(paragraph(BODY))}
    return zipped(parts | {"docProps/core.xml": core, "docProps/custom.xml": custom})


def pptx(core: str | bytes, custom: str | bytes) -> bytes:
    presentation = Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[5]).shapes.title.text = BODY
    return with_part(with_part(saved(presentation), "docProps/core.xml", core), "docProps/custom.xml", custom)


def xlsx(core: str | bytes, custom: str | bytes) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = BODY
    return with_part(with_part(saved(workbook), "docProps/core.xml", core), "docProps/custom.xml", custom)


Office = Callable[[str | bytes, str | bytes], bytes]
offices = pytest.mark.parametrize("office", [docx, pptx, xlsx])


@offices
def test_office_properties_have_their_types(office: Office) -> None:
    said = metadata_of(office(CORE, CUSTOM), f"a.{office.__name__}")
    assert dict(said) == OF_OFFICE
    assert said.left_out == ("not usable: bad",)


@offices
def test_office_documents_with_ten_thousand_properties_and_a_megabyte(office: Office) -> None:
    properties = "".join(
        f'<property name="p{number}"><vt:lpwstr>{"x" * 150}</vt:lpwstr></property>'
        for number in range(10_000)
    )
    custom = CUSTOM.replace("<property/>", properties)
    assert len(custom) > 1_000_000
    said = metadata_of(office(CORE, custom), f"a.{office.__name__}")
    assert len(said) <= MAX_KEYS
    assert len(json.dumps(said.to_json())) < 2 * MAX_BYTES
    assert said["author"] == "Ann"
    assert said.left_out


def test_a_workbook_keeps_its_text_with_broken_custom_properties() -> None:
    said = metadata_of(xlsx(CORE, "<broken"), "a.xlsx")
    assert said["author"] == "Ann"
    assert "not readable: custom properties" in said.left_out


def test_opendocument_properties_have_their_types() -> None:
    meta = """<office:document-meta xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>
<meta:initial-creator>Ann</meta:initial-creator><dc:creator>Bob</dc:creator><meta:keyword>hr</meta:keyword>
<meta:keyword>leave</meta:keyword><dc:date>2024-02-29T10:00:00.123</dc:date><meta:generator>X</meta:generator>
<meta:creation-date>2024-01-31T10:00:00</meta:creation-date><dc:subject>Rules</dc:subject><dc:language>en</dc:language>
<meta:user-defined meta:name="Department">HR</meta:user-defined>
<meta:user-defined meta:name="Year" meta:value-type="float">2024</meta:user-defined>
<meta:user-defined meta:name="Final" meta:value-type="boolean">true</meta:user-defined>
<meta:user-defined meta:name="From" meta:value-type="date">2024-03-01</meta:user-defined>
</office:meta></office:document-meta>"""
    parts = odf_parts("text", f"<text:p>{BODY}</text:p>") | {"meta.xml": meta}
    assert dict(metadata_of(zipped_document(parts), "a.odt")) == {
        "author": "Ann",
        "last_modified_by": "Bob",
        "keywords": ("hr", "leave"),
        "created": "2024-01-31T10:00:00Z",
        "modified": "2024-02-29T10:00:00Z",
        "subject": "Rules",
        "language": "en",
        "department": "HR",
        "year": 2024,
        "final": True,
        "from": "2024-03-01T00:00:00Z",
    }


# Books


def test_the_package_document_of_a_book() -> None:
    parts = epub_parts({"a.xhtml": f"<p>{BODY}</p>"})
    metadata = """<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Leave</dc:title><dc:creator>Ann</dc:creator>
<dc:creator>Bob</dc:creator><dc:subject>hr</dc:subject><dc:subject>leave</dc:subject><dc:language>en</dc:language>
<dc:date>2024-01-31</dc:date><dc:description>&lt;p&gt;Of all &lt;b&gt;sites&lt;/b&gt;&lt;/p&gt;</dc:description>
<dc:publisher>House</dc:publisher><meta property="dcterms:modified">2024-02-29T10:00:00Z</meta>
<meta property="role" refines="#x">aut</meta><meta name="calibre:series" content="Rules"/><meta name="cover" content="i"/>
</metadata>"""
    package = parts["OEBPS/book.opf"]
    start, end = package.index("<metadata>"), package.index("</metadata>") + len("</metadata>")
    parts["OEBPS/book.opf"] = package[:start] + metadata + package[end:]
    assert dict(metadata_of(zipped_document(parts), "a.epub")) == {
        "author": ("Ann", "Bob"),
        "subject": ("hr", "leave"),
        "language": "en",
        "date": "2024-01-31T00:00:00Z",
        "description": "Of all sites",
        "publisher": "House",
        "modified": "2024-02-29T10:00:00Z",
        "calibre_series": "Rules",
    }


# Pages


def page(head: str) -> str:
    return f"<!doctype html><html lang='en-GB'><head><title>Leave</title>{head}</head><body><p>{BODY}</p></body></html>"


def test_meta_tags_and_json_ld_of_a_page() -> None:
    head = """<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="generator" content="X">
<meta name="Description" content="Of all sites"><meta name="keywords" content="hr, leave"><meta name="department" content="HR">
<meta property="article:published_time" content="2024-01-31T10:00:00+02:00"><meta property="article:tag" content="a">
<meta property="article:tag" content="b"><meta property="og:image" content="x.png"><meta name="twitter:card" content="x">
<meta name="csrf-token" content="x"><meta name="google-site-verification" content="x"><meta itemprop="version" content="1.2">
<script type="application/ld+json">{"@graph": [{"@type": "WebPage", "datePublished": "2024-01-30", "author": {"name": "Ann"}},
 {"dateModified": "2024-02-29", "inLanguage": "de"}]}</script>"""
    assert dict(metadata_of(page(head), "a.html")) == {
        "language": "en-GB",
        "description": "Of all sites",
        "keywords": ("hr", "leave"),
        "department": "HR",
        "article_published_time": "2024-01-31T08:00:00Z",
        "article_tag": ("a", "b"),
        "version": "1.2",
        "date_published": "2024-01-30T00:00:00Z",
        "date_modified": "2024-02-29T00:00:00Z",
    }


@pytest.mark.parametrize(
    "script", ["{", "[" * 100_000, "7", "null", '{"@graph": 7, "keywords": {"a": 1}}', "[[[1]]]"]
)
def test_a_page_keeps_its_text_with_any_json_ld(script: str) -> None:
    said = metadata_of(page(f'<script type="application/ld+json">{script}</script>'), "a.html")
    assert dict(said) == {"language": "en-GB"}


def test_a_page_with_ten_thousand_meta_tags() -> None:
    head = "".join(f'<meta name="name{number}" content="{"x" * 100}">' for number in range(10_000))
    said = metadata_of(page(head), "a.html")
    assert len(said) <= MAX_KEYS
    assert said.left_out


# Mail


def test_the_headers_of_a_mail() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "Ann <ann@example.com>", "all@example.com"
    message["Subject"], message["Keywords"], message["Importance"] = "Leave", "hr, leave", "high"
    message["Date"] = "Wed, 31 Jan 2024 10:00:00 +0200"
    message.set_content(BODY)
    assert dict(metadata_of(message.as_bytes(), "a.eml")) == {
        "date": "2024-01-31T08:00:00Z",
        "from": "Ann <ann@example.com>",
        "to": "all@example.com",
        "importance": "high",
        "keywords": ("hr", "leave"),
    }
    message.replace_header("Date", "yesterday, or 99 Foo 99999999999")
    assert "date" not in metadata_of(message.as_bytes(), "a.eml")


# RTF


def test_the_info_group_of_an_rtf_file() -> None:
    source = (
        r"{\rtf1\ansi\ansicpg1252{\info{\title Leave}{\subject R\'fcles}{\author Ann}{\operator Bob}{\keywords hr, leave}"
        r"{\doccomm Of \u26085?}{\*\company House}{\category Policy}{\creatim\yr2024\mo1\dy31\hr10\min5}{\revtim\yr2024\mo13\dy1}"
        r"{\nofpages3}}{\colortbl subject}\pard " + BODY + r"\par}"
    )
    said = metadata_of(source, "a.rtf")
    assert dict(said) == {
        "subject": "Rüles",
        "author": "Ann",
        "last_modified_by": "Bob",
        "keywords": ("hr", "leave"),
        "description": "Of 日",
        "company": "House",
        "category": "Policy",
        "created": "2024-01-31T10:05:00Z",
    }


# PDF

XMP = b"""<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdfx="http://ns.adobe.com/pdfx/1.3/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 pdfx:Site="Rome"><dc:subject><rdf:Bag><rdf:li>one</rdf:li><rdf:li>two</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Of all sites</rdf:li><rdf:li xml:lang="de">Aller Orte</rdf:li></rdf:Alt>
</dc:description><dc:format>application/pdf</dc:format><xmpMM:DocumentID>uuid:1</xmpMM:DocumentID></rdf:Description></rdf:RDF>
</x:xmpmeta><?xpacket end="w"?>"""


def pdf(information: dict[str, Any] | None = None, xmp: bytes = b"") -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(make_pdf([BODY]))))
    writer.add_metadata(information or {})
    if xmp:
        stream = StreamObject()
        stream.set_data(xmp)
        stream[NameObject("/Type")], stream[NameObject("/Subtype")] = (
            NameObject("/Metadata"),
            NameObject("/XML"),
        )
        writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


INFORMATION = {
    "/Title": "Leave",
    "/Author": "Ann",
    "/Subject": "Rules",
    "/Keywords": "hr; leave",
    "/CreationDate": "D:20240131100000+02'00'",
    "/ModDate": "D:20240229",
    "/Creator": "Writer",
    "/Department": "HR",
    "/Year": "2024",
}
OF_PDF = {
    "author": "Ann",
    "subject": "Rules",
    "keywords": ("hr", "leave"),
    "created": "2024-01-31T08:00:00Z",
    "modified": "2024-02-29T00:00:00Z",
}


def test_the_information_dictionary_and_xmp_of_a_pdf() -> None:
    said = metadata_of(pdf(INFORMATION, XMP), "a.pdf")
    own = {"department": "HR", "year": "2024", "site": "Rome", "description": "Of all sites"}
    assert dict(said) == OF_PDF | own
    assert said.left_out == ()
    assert dict(metadata_of(pdf(None, XMP), "a.pdf")) == {
        "keywords": ("one", "two"),
        "site": "Rome",
        "description": "Of all sites",
    }


def test_an_encrypted_pdf_without_a_password_keeps_its_properties() -> None:
    assert metadata_of(encrypt_pdf(pdf(INFORMATION), ""), "a.pdf")["subject"] == "Rules"


@pytest.mark.parametrize(
    "xmp",
    [
        b"<broken",
        b"x" * 1_000_000,
        XMP.replace(b"<x:xmpmeta", b"<!DOCTYPE x [<!ENTITY e 'eeee'>]><x:xmpmeta"),
    ],
    ids=["broken", "a megabyte", "entities"],
)
def test_a_pdf_keeps_text_and_properties_with_any_xmp(xmp: bytes) -> None:
    said = metadata_of(pdf(INFORMATION, xmp), "a.pdf")
    assert said["department"] == "HR"
    assert said.left_out == ("not readable: XMP",)


def test_a_pdf_with_ten_thousand_properties() -> None:
    said = metadata_of(pdf(INFORMATION | {f"/Key{number}": "x" * 100 for number in range(10_000)}), "a.pdf")
    assert len(said) <= MAX_KEYS
    assert said["subject"] == "Rules"
    assert said.left_out


def test_a_pdf_whose_properties_are_of_other_types() -> None:
    data = pdf({**INFORMATION, "/Subject": NumberObject(7), "/Author": NameObject("/Ann")})
    assert metadata_of(data, "a.pdf")["department"] == "HR"


def test_properties_that_take_too_long_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pdf(INFORMATION)
    monkeypatch.setattr("rag_assets.parsers.pdf_properties._MAX_SECONDS", 0.05)

    def endless(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr("pypdf.PdfReader.__init__", endless)
    said = pdf_properties(data, {"Subject": "Rules", "ModDate": "D:20240229"})
    assert dict(said) == {"subject": "Rules", "modified": "2024-02-29T00:00:00Z"}
    assert said.left_out == ("not readable: properties",)


# Documents in documents


def test_a_compressed_document_keeps_its_metadata() -> None:
    source = f"---\nyear: 2024\n---\n{BODY}\n"
    assert dict(metadata_of(gzip.compress(source.encode()), "a.md.gz")) == {"year": 2024}
