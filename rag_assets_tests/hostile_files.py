"""Broken and malicious files: mutants of valid ones, and bombs. Every call gives the same files."""

import bz2
import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rag_assets_tests.parsers.pdf_files import make_pdf, write_pdf

SAMPLES = Path(__file__).parents[1] / "data" / "documents"
OFFICE_SAMPLES = Path(__file__).parent / "parsers" / "samples"
_SEEDS = (
    "hr/hr_handbook.pdf",
    "sales/larkspur_lk3_product_sheet.pdf",
    "hr/hiring_guide.docx",
    "it/vpn_setup.html",
    "finance/purchase_orders.html",
    "it/laptop_hardware_policy.md",
    "hr/public_holidays_2026.txt",
    "facilities/meeting_rooms.json",
    "finance/cost_centres.csv",
)
_OTHER_ENDINGS = ("", ".pdf", ".docx", ".html", ".md", ".txt", ".json", ".jsonl", ".csv")


_SMALL_SEEDS = {
    "notes.rst": b"Notes\n=====\n\n.. note:: Mind the gap.\n\n+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+\n"
    * 20,
    "feed.xml": b'<?xml version="1.0"?><rss><channel><title>News</title><item><title>One</title></item></channel></rss>',
    "mail.eml": b"From: a@example.org\nTo: b@example.org\nSubject: Plans\nMIME-Version: 1.0\nContent-Type: "
    b'multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/plain\n\nThe plan is this.\n--x--\n',
    "talk.srt": b"1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n\n2\n00:00:03,000 --> 00:00:04,000\nHello.\n",
    "talk.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Good morning.\n",
    "letter.rtf": rb"{\rtf1\ansi{\b Dear all}\par We meet at {\i ten}.\par}" * 3,
}


def mutants(data: bytes, random_source: random.Random) -> Iterator[bytes]:
    """Yield broken forms of a file."""
    size = len(data)
    for share in (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        yield data[: int(size * share)]
    for count in (1, 3, 10, 100, 1000):
        flipped = bytearray(data)
        for _ in range(count):
            flipped[random_source.randrange(size)] ^= 1 << random_source.randrange(8)
        yield bytes(flipped)
    for _ in range(4):
        start = random_source.randrange(size)
        length = random_source.randrange(1, max(size // 4, 2))
        yield data[:start] + data[start + length :]
        yield data[:start] + data[start : start + length] * 3 + data[start:]
        yield data[:start] + bytes(length) + data[start + length :]
        yield data[:start] + random_source.randbytes(length) + data[start + length :]
    yield data[::-1]
    yield data * 3
    yield b"\xef\xbb\xbf" + data
    yield b"\xff\xfe" + data
    yield b"%PDF-1.7\n" + data
    yield b"PK\x03\x04" + data


def broken_files() -> dict[str, bytes]:
    """Return name -> bytes: mutants of valid files, and valid files under the endings of other formats."""
    random_source = random.Random(20_261_124)
    files: dict[str, bytes] = {}
    seeds = [SAMPLES / path for path in _SEEDS] + sorted(OFFICE_SAMPLES.glob("*.*"))
    for name, data in [*((path.name, path.read_bytes()) for path in seeds), *_SMALL_SEEDS.items()]:
        stem, _, ending = name.rpartition(".")
        for number, mutant in enumerate(mutants(data, random_source)):
            files[f"{stem}-{number:02}.{ending}"] = mutant
        for other in _OTHER_ENDINGS:
            files[f"{stem}-as{other}"] = data
    return files


def bombs() -> dict[str, bytes]:
    """Return name -> bytes: small files with huge content, and files to keep a parser busy forever.

    Readable ones hold half a megabyte of text: ten times as much was chunked, embedded and staged for two minutes.
    """
    zeros = bytes(220_000_000)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    nested_zip = _zip({"deep.txt": b"text" * 1000})
    for _ in range(20):
        nested_zip = _zip({"inner.zip": nested_zip})
    return {
        "deflate-bomb.docx": _zip(
            {
                "[Content_Types].xml": _CONTENT_TYPES,
                "_rels/.rels": _RELATIONSHIPS,
                "word/document.xml": b"<w:document>" + zeros,
            }
        ),
        "gzip-bomb.txt.gz": gzip.compress(zeros, 1, mtime=0),
        "bzip2-bomb.txt.bz2": bz2.compress(zeros),
        "zip-bomb.zip": _zip({f"{n}.txt": zeros for n in range(4)}),
        "nested.zip": nested_zip,
        "many-members.zip": _zip({f"{n}.txt": b"x" for n in range(20_000)}),
        "escaping.zip": _zip(
            {"../../escaped.txt": b"escaped", "/absolute.txt": b"absolute", "in.txt": b"inside"}
        ),
        "billion-laughs.xml": (
            f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l11;</x>'.encode()
        ),
        "external-entity.xml": (
            b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e; here</x>'
        ),
        "laughing.html": f"<!DOCTYPE html [{laughs}]><html><body>&l11;</body></html>".encode(),
        "nested.json": b"[" * 500_000 + b"]" * 500_000,
        "nested-objects.json": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        "nested.jsonl": (b"[" * 100_000 + b"]" * 100_000 + b"\n") * 3,
        "nested.html": b"<div>" * 300_000 + b"deep",
        "nested-tables.html": b"<table><tr><td>" * 50_000 + b"deep",
        "nested.xml": b"<a>" * 500_000 + b"deep" + b"</a>" * 500_000,
        "huge-number.json": b'{"n": ' + b"9" * 500_000 + b"}",
        "one-line.txt": b"word " * 100_000,
        "one-word.txt": b"x" * 500_000,
        "brackets.md": b"[" * 200_000,
        "hashes.md": b"#" * 200_000,
        "backticks.md": b"`" * 200_001,
        "emphasis.md": b"**a " * 50_000,
        "quotes.csv": b'"' * 5_000_001,
        "columns.csv": b",".join(b"c%d" % n for n in range(50_000)) + b"\n" + b"1," * 49_999,
        "attributes.html": b"<p " + b"a=b " * 500_000 + b">text</p>",
        "combining.txt": ("e" + "\u0301" * 100_000).encode(),
        "surrogates.json": json.dumps({"text": "\ud800 alone \udfff"}).encode(),
        "controls.txt": bytes(range(32)) * 1000,
        "nul.md": b"before\0after",
        "tags.html": "".join(f"<x{n}>" for n in range(200_000)).encode(),
        "many-pages.pdf": make_pdf([f"This is page {number} of many." for number in range(2_000)]),
        "looping.pdf": _LOOPING_PDF,
    }


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


# The tree of pages is its own child.
_LOOPING_PDF = write_pdf(
    [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 9/Kids[2 0 R 2 0 R]/Parent 2 0 R>>"]
)
_CONTENT_TYPES = (
    b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" '
    b'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONSHIPS = (
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r" '
    b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    b'Target="word/document.xml"/></Relationships>'
)
