"""The outcome of a bad document: a text, or the one kind of error."""

import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document


def unreadable(data: bytes, filename: str) -> DocumentUnreadable:
    """Return the error for a document, which must be refused."""
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, filename)
    return caught.value


def text_or_reason(data: bytes, filename: str) -> str:
    """Return the text of a document, or the reason for its refusal. Any other error goes through."""
    try:
        return parse_document(data, filename).text
    except DocumentUnreadable as error:
        return error.reason


def assert_text_or_unreadable(data: bytes, filename: str = "a.bin") -> None:
    assert text_or_reason(data, filename)
