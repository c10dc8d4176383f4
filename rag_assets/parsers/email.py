"""E-mail (.eml): the visible headers, the body, and the attachments as sections.

Of a message in several forms the plain text is used. Quotations of earlier mails stay.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from rag_assets.document_metadata.normalization import normalized
from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.html import html_text
from rag_assets.parsers.layout import one_line, with_deeper_headings
from rag_assets.parsers.nested import Parts
from rag_assets.parsers.properties import Properties, add, keywords, read_quietly
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

_SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_METADATA_HEADERS = ("From", "To", "Cc", "Importance")
_MAX_HEADER_CHARACTERS = 2_000
_HEADER_LINE = re.compile(rb"[!-9;-~]+:|[ \t]")
_TELLING_HEADERS = re.compile(
    rb"^(?:(from)|(message-id|received)|(date|mime-version)):", re.IGNORECASE | re.MULTILINE
)


class EmailParser:
    """Headers, body, attached documents. Title: the subject."""

    name = "email"
    version = "2"
    suffixes: tuple[str, ...] = (".eml",)

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`. A mail begins with headers, among them those added by mail servers."""
        head = data[:16_384].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        if not all(_HEADER_LINE.match(line) for line in head.split(b"\n")[:20]):
            return False
        found = _TELLING_HEADERS.findall(head)
        return bool(found) and all(map(any, zip(*found, strict=True)))

    def parse_container(self, data: bytes, filename: str, parts: Parts) -> ParsedDocument:
        del filename
        message = email.message_from_bytes(data, policy=email.policy.default)
        if not isinstance(message, EmailMessage) or not message.keys():
            raise DocumentUnreadable("corrupt", "It has no mail headers.")
        headers = [(name, _header(message, name)) for name in _SHOWN_HEADERS]
        blocks = [
            "\n".join(f"{name}: {value}" for name, value in headers if value),
            with_deeper_headings(_body(message)),
            *parts.sections(_attachments(message, parts), are_all=False),
        ]
        return ParsedDocument(
            text="\n\n".join(filter(None, blocks)),
            title=dict(headers)["Subject"],
            metadata=normalized(read_quietly("headers", lambda: _metadata(message))),
        )


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = str(message[name] or "")
    except Exception:  # malformed headers fail in many ways, and the body is still good
        return ""
    return one_line(value)[:_MAX_HEADER_CHARACTERS]


def _metadata(message: EmailMessage) -> Properties:
    """Return headers as metadata. Names of people are left out later, unless a setting keeps them."""
    found: Properties = {"date": _date(message)}
    for name in _METADATA_HEADERS:
        add(found, name.lower(), _header(message, name))
    add(found, "keywords", keywords(_header(message, "Keywords")))
    return found


def _date(message: EmailMessage) -> datetime | None:
    try:
        return parsedate_to_datetime(_header(message, "Date"))
    except (ValueError, OverflowError):
        return None


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    return html_text(_text(part)) if part.get_content_type() == "text/html" else _text(part)


def _text(part: MIMEPart) -> str:
    content = _bytes(part)
    charset = part.get_content_charset()
    if charset:
        try:
            return content.decode(charset)
        except (LookupError, UnicodeError):  # the declared charset is unknown or wrong
            pass
    return decode_text(content) if content else ""


def _attachments(message: EmailMessage, parts: Parts) -> Iterator[tuple[str, bytes]]:
    for number, part in enumerate(message.iter_attachments(), start=1):
        name = one_line(part.get_filename() or "").replace("/", "_")
        if part.get_content_type() == "message/rfc822":
            yield name or f"message-{number}.eml", _inner_message(part)
        elif name and parts.may_be_part(name):
            yield name, _bytes(part)


def _inner_message(part: EmailMessage) -> bytes:
    inner = part.get_payload(0)
    return inner.as_bytes() if isinstance(inner, EmailMessage) else b""


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
