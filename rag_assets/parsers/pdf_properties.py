"""Properties of a PDF: the information dictionary and the XMP packet, by pypdf within limits.

pdfium reads the standard fields in any file. pypdf also finds the fields of an organization, but takes long in a few
broken files: it has a limit on processor time.
"""

import io
import logging
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.properties import MOST_PROPERTIES, Properties, add, keywords, read_quietly, text_in

if TYPE_CHECKING:
    from pypdf import PdfReader

_MAX_SECONDS = 2.0
_MAX_XMP_BYTES = 256 * 1024
_DATE = re.compile(
    r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([-+])(\d\d)'?(\d\d)?'?)?.{0,6}", re.DOTALL | re.ASCII
)
_NAMES = {
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "CreationDate": "created",
    "ModDate": "modified",
    # Of the program, or of no meaning for a reader.
    **dict.fromkeys(("Title", "Creator", "Producer", "Trapped", "AAPL:Keywords"), ""),
}
_XMP_NAMES = {"creator": "author", "title": "", "format": "", "identifier": "", "date": ""}
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
_OF_READERS = (
    _DUBLIN_CORE,
    "http://ns.adobe.com/pdfx/1.3/",
    "http://prismstandard.org/namespaces/",
)
"""Beginnings of the namespaces in XMP with fields for people. Others describe programs and the history of the file."""


class _TimeIsUp(BaseException):
    """Not an `Exception`: a library must not catch it."""


def pdf_properties(data: bytes, standard_fields: Mapping[str, str]) -> Metadata:
    """Return the properties of a PDF. Unreadable ones are left out with a word.

    Args:
        standard_fields: of the information dictionary, by pdfium. They count if pypdf cannot read the file.
    """
    read = read_quietly("properties", lambda: _within_time(lambda: _by_pypdf(data)))
    return normalized(read, _named(standard_fields))


def _within_time(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Raises: TimeoutError: after two seconds of processor time."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return work()  # only the main thread gets signals; a parsing process has no other

    def stop(*_: object) -> None:
        raise _TimeIsUp

    previous = signal.signal(signal.SIGVTALRM, stop)
    try:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, _MAX_SECONDS)
            return work()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _TimeIsUp:
        raise TimeoutError from None
    finally:
        signal.signal(signal.SIGVTALRM, previous)


def _by_pypdf(data: bytes) -> Metadata:
    from pypdf import PdfReader

    # pypdf warns about every oddity of a file, and quotes from the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted:
        reader.decrypt("")
    information = reader.metadata or {}
    fields = {
        str(name).removeprefix("/"): value for name, value in islice(information.items(), MOST_PROPERTIES)
    }
    texts = {name: value for name, value in fields.items() if isinstance(value, str | int | float)}
    return normalized(_named(texts), read_quietly("XMP", lambda: _xmp(reader)))


def _named(fields: Mapping[str, Any]) -> Properties:
    found: Properties = {}
    for name, value in fields.items():
        ours = "" if name.startswith("PTEX.") else _NAMES.get(name, name)
        text = value.strip("\0 ") if isinstance(value, str) else value
        if ours == "keywords" and isinstance(text, str):
            text = keywords(text)
        add(found, ours, _date(text) if isinstance(text, str) else text)
    return found


def _date(text: str) -> str:
    """Return a date of PDF in ISO 8601, and any other text as it is."""
    match = _DATE.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, sign, hours, minutes = match.groups()
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else "Z"
    return f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone}"


def _xmp(reader: "PdfReader") -> Properties:
    found: Properties = {}
    packet: Any = reader.root_object.get("/Metadata")
    if packet is None:
        return found
    data: bytes = packet.get_object().get_data()
    if len(data) > _MAX_XMP_BYTES or b"<!DOCTYPE" in data:
        raise ValueError("no XMP of a usual size and form")
    root = ElementTree.fromstring(data.strip(b"\0 \r\n\t"))  # noqa: S314  small, and without a document type
    for description in islice(root.iter(f"{_RDF}Description"), MOST_PROPERTIES):
        for tag, value in description.attrib.items():
            _add_field(found, tag, value)
        for element in islice(description, MOST_PROPERTIES):
            items = [text_in(item) for item in islice(element.iter(f"{_RDF}li"), MOST_PROPERTIES)]
            is_alternative = element.find(f"{_RDF}Alt") is not None  # of languages: the first is the default
            _add_field(found, element.tag, (items[:1] if is_alternative else items) or text_in(element))
    return found


def _add_field(found: Properties, tag: str, value: str | list[str]) -> None:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    if not namespace.startswith(_OF_READERS):
        return
    ours = _XMP_NAMES.get(name, name) if namespace == _DUBLIN_CORE else name
    if ours == "subject":  # the list of keywords, while Info's `Subject` is a sentence
        ours = "keywords"
    if isinstance(value, list) and len(value) == 1 and ours != "keywords":
        value = value[0]
    add(found, ours, _date(value) if isinstance(value, str) else value)
