import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.parsers.isolation import ParseLimits, ParseWorkers
from rag_assets.parsers.xml import XmlParser
from rag_assets_tests.parsers.damage import outcomes_of_damage

_BOOK = b"""<?xml version="1.0"?>
<!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "http://www.oasis-open.org/docbook/xml/4.5/docbookx.dtd">
<book lang="en"><title>The Book</title><chapter id="x"><title>One</title>
<para>A&nbsp;<emphasis>bold</emphasis>
move.</para><para># 1</para><itemizedlist><listitem><para>item</para></listitem></itemizedlist>
<programlisting># code
y</programlisting></chapter></book>"""
_FEED = b"""<rss><channel><title>Feed</title><link>http://a.example</link><item><title>News</title>
<description>&lt;p&gt;Hello &lt;b&gt;you&lt;/b&gt;&lt;/p&gt;</description></item></channel></rss>"""
_LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha">%s]><x>&l29;</x>' % b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10 if level else b"&a;" * 10)
    for level in range(30)
)


def test_prose_becomes_paragraphs_under_headings() -> None:
    parsed = parse_document(_BOOK, "a.xml")
    assert parsed.title == "The Book"
    assert parsed.text == "# The Book\n\n## One\n\nA bold move.\n\n\\# 1\n\nitem\n\n```\n# code\ny\n```"


def test_a_feed_has_one_section_per_item() -> None:
    parsed = parse_document(_FEED, "a.rss")
    assert parsed.title == "Feed"
    assert "## Feed\n\nlink: http://a.example\n\n### News\n\ndescription: Hello you" in f"#{parsed.text}"


def test_data_follows_its_labels() -> None:
    data = b'<c><book id="1"><author>X Y</author><price cur="EUR">3</price><empty/></book><flag on="1"/></c>'
    assert parse_document(data, "a.xml").text == "book id=1\nauthor: X Y\nprice cur=EUR: 3\n\nflag on=1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "shift_jis"])
def test_the_declared_encoding_counts(encoding: str) -> None:
    text = "日本" if encoding == "shift_jis" else "Größe"
    data = f'<?xml version="1.0" encoding="{encoding}"?><a>{text}</a>'.encode(encoding)
    assert parse_document(data, "a.xml").text == f"a: {text}"


@pytest.mark.parametrize(
    "data",
    [
        _LAUGHS,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><x/>',
        b"<a><b></a>",
        b"<a>" * 200 + b"x" + b"</a>" * 200,
        b"not xml",
        b"<a>&unknown;</a>",
    ],
)
def test_entities_and_malformed_xml_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, "a.xml")
    assert caught.value.reason == "corrupt"


@pytest.mark.slow
def test_hostile_xml_stays_within_the_limits_of_the_process() -> None:
    workers = ParseWorkers(ParseLimits(seconds=10, memory_bytes=400 * 1024 * 1024), num_workers=1)
    hostile = [_LAUGHS, b"<a>" * 3_000_000, b"<a>" * 500_000 + b"</a>" * 500_000, b"<a " + b"x" * 20_000_000]
    try:
        for data in hostile:
            with pytest.raises(DocumentUnreadable):
                workers.submit(XmlParser(), data, "a.xml").result()
        assert workers.submit(XmlParser(), b"<a>x</a>", "a.xml").result().text == "a: x"
    finally:
        workers.close()


@pytest.mark.parametrize("data", [_BOOK, _FEED])
def test_damage_gives_text_or_one_kind_of_error(data: bytes) -> None:
    assert outcomes_of_damage(data, "a.xml") >= {"corrupt"}
