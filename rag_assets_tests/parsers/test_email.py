from email.message import EmailMessage

import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.damage import outcomes_of_damage
from rag_assets_tests.parsers.pdf_files import make_pdf

_HEADERS = b"From: a@example.org\r\nSubject: Offer\r\n"


def _message() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "bob@example.org"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message["Subject"] = "Größe der Lieferung"
    message["X-Secret"] = "hidden"
    message.set_content("Dear Bob,\n\n> quoted")
    message.add_alternative("<p>as HTML</p>", subtype="html")
    return message


def _with_attachments() -> EmailMessage:
    message, forwarded = _message(), EmailMessage()
    forwarded["Subject"] = "Inner"
    forwarded.set_content("inner body")
    message.add_attachment(make_pdf(["page"]), maintype="application", subtype="pdf", filename="offer.pdf")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="bad.pdf")
    message.add_attachment(b"x", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment(forwarded)
    return message


_TEXT = """\
From: Ada <ada@example.org>
To: bob@example.org
Date: Mon, 01 Jan 2024 10:00:00 +0000
Subject: Größe der Lieferung

Dear Bob,

> quoted"""


def test_a_mail_becomes_its_headers_and_its_plain_text() -> None:
    parsed = parse_document(bytes(_message()), "a.eml")
    assert (parsed.text, parsed.title) == (_TEXT, "Größe der Lieferung")


def test_attachments_are_sections() -> None:
    text = parse_document(bytes(_with_attachments()), "a.eml").text
    inner = "# message-4.eml\n\nSubject: Inner\n\ninner body"
    assert text == f"{_TEXT}\n\n# offer.pdf\n\npage\n\n{inner}\n\n# Could not be read\n\nbad.pdf (corrupt)"


def test_a_mail_without_plain_text_is_read_from_its_html() -> None:
    body = b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<h1>Hi</h1><p>Gr\xf6\xdfe</p>"
    assert parse_document(_HEADERS + body, "a.eml").text.endswith("# Hi\n\nGröße")


@pytest.mark.parametrize("charset", [b"no-such", b"utf-8", b"us-ascii"])
def test_a_wrong_charset_is_replaced_by_a_guess(charset: bytes) -> None:
    body = b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\nDie Gr\xf6\xdfe der T\xfcr"
    assert parse_document(_HEADERS + body, "a.eml").text.endswith("Die Größe der Tür")


def test_mails_in_mails_have_a_depth_limit() -> None:
    message = _message()
    for _ in range(4):
        outer = _message()
        outer.add_attachment(message)
        message = outer
    assert "(too_large)" in parse_document(bytes(message), "a.eml").text


def test_a_file_without_headers_is_corrupt() -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"\njust text", "a.eml")
    assert caught.value.reason == "corrupt"


@pytest.mark.slow
def test_hostile_nesting_of_parts_is_text_or_refused() -> None:
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3_000)
    )
    with pytest.raises(DocumentUnreadable):
        parse_document(b"X: y\r\n" + parts, "a.eml")


@pytest.mark.slow
def test_damage_gives_text_or_one_kind_of_error() -> None:
    assert "text" in outcomes_of_damage(bytes(_with_attachments()), "a.eml")
