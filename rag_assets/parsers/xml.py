"""XML of any vocabulary as text: prose as paragraphs, data as lines with the name of their element.

Titles become headings, one level per level of nesting. Nothing is fetched. Only the entities of HTML are resolved, all
of them single characters.
"""

import re
from collections.abc import Iterator
from html.entities import html5
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.html import html_text, looks_like_html
from rag_assets.parsers.layout import label, one_line, without_marks
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MAX_DEPTH = 100
_PARAGRAPHS = frozenset(("p", "para", "simpara", "seg", "ab", "l", "li", "cmd"))
_TITLES = frozenset(("title", "head"))
_VERBATIM = frozenset(("programlisting", "screen", "codeblock", "literallayout", "pre", "code"))
_ESCAPED_MARKUP = re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>", re.IGNORECASE)


class XmlParser:
    """Text in the order of the file. Title: the first element of that name near the root."""

    name = "xml"
    version = "1"
    suffixes: tuple[str, ...] = (".xml", ".rss", ".atom", ".dita", ".ditamap", ".dbk", ".docbook", ".tei")

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        start = data[:64].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        return start.startswith(b"<?xml") and not looks_like_html(data)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        root = _parsed(data)
        is_prose = any(_name(element) in _PARAGRAPHS for element in root.iter())
        lines = list(_lines(root, 1, is_prose=is_prose))
        return ParsedDocument(text="\n".join(lines), title=_title(root))


def _parsed(data: bytes) -> "Element":
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser = DefusedXMLParser()  # refuses declarations of entities
    parser.entity.update({name.rstrip(";"): text for name, text in html5.items()})
    try:
        parser.feed(decode_text(data, html=True))  # expat knows few encodings
        return parser.close()
    except DefusedXmlException:
        raise DocumentUnreadable(
            "corrupt",
            "It declares entities, a way to grow without bound. Store it with resolved entities.",
        ) from None
    except (ParseError, ValueError) as error:
        line = getattr(error, "position", (None,))[0]
        place = f" at line {line}" if line else ""
        raise DocumentUnreadable("corrupt", f"It is not well-formed XML{place}.") from None


def _name(element: "Element") -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _title(root: "Element") -> str:
    near = [root, *root, *(inner for child in root for inner in child)]
    return next(
        (one_line("".join(e.itertext())) for e in near if _name(e).lower() in _TITLES and len(e) < 20), ""
    )


def _lines(element: "Element", depth: int, *, is_prose: bool) -> Iterator[str]:
    """Yield the lines of an element, and an empty line after each paragraph or record."""
    if depth > _MAX_DEPTH:
        raise DocumentUnreadable("corrupt", f"It is nested more than {_MAX_DEPTH} levels deep.")
    name = _name(element)
    if name.lower() in _TITLES:
        title = one_line("".join(element.itertext()))
        if title:
            yield from ("", f"{'#' * min(max(depth - 1, 1), 6)} {title}", "")
    elif name in _VERBATIM:
        yield from ("", "```", "".join(element.itertext()).strip("\n").replace("```", "'''"), "```", "")
    elif len(element) == 0:
        yield from _leaf(element, name, is_prose=is_prose)
    elif _is_mixed(element) and not _holds_blocks(element):
        yield from (without_marks(one_line("".join(element.itertext()))), "")
    else:
        yield ""
        if not is_prose and (attributes := _attributes(element)):
            yield without_marks(f"{label(name)} {attributes}")
        if (element.text or "").strip():
            yield without_marks(one_line(element.text or ""))
        for child in element:
            yield from _lines(child, depth + 1, is_prose=is_prose)
            if (child.tail or "").strip():
                yield without_marks(one_line(child.tail or ""))
        yield ""


def _leaf(element: "Element", name: str, *, is_prose: bool) -> Iterator[str]:
    text = (element.text or "").strip()
    if _ESCAPED_MARKUP.search(text):  # in feeds
        text = html_text(text)
    text = without_marks(text if "\n" in text and not is_prose else one_line(text))
    if is_prose:
        yield from (text, "") if text and name in _PARAGRAPHS else (text,)
        return
    attributes = _attributes(element)
    if text or attributes:
        labeled = " ".join(filter(None, (label(name), attributes)))
        yield f"{labeled}: {text}" if text else labeled


def _attributes(element: "Element") -> str:
    """Return `key=value, key=value` without those of namespaces."""
    return ", ".join(f"{key}={one_line(value)}" for key, value in element.items() if value and "}" not in key)


def _is_mixed(element: "Element") -> bool:
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)


def _holds_blocks(element: "Element") -> bool:
    return any(
        _name(inner) in _PARAGRAPHS | _TITLES | _VERBATIM for inner in element.iter() if inner is not element
    )
