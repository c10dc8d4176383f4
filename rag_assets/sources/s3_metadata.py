"""Metadata of an object of S3: its tags, its user metadata (`x-amz-meta-*`), its language."""

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.sources.content_language import content_languages


def metadata_of(answer: Mapping[str, Any], tags: Mapping[str, str]) -> Metadata:
    """Return the metadata in the headers of an object, and its tags. For one name the tag counts.

    Args:
        answer: of `get_object`.
        tags: of the object, empty if they are not read.
    """
    headers: Mapping[str, str] = answer.get("Metadata") or {}
    user_metadata = {name: _decoded(value) for name, value in headers.items()}
    # The service counts the fields that it could not write as headers.
    missing = {"fields missing in the answer of S3": object()} if answer.get("MissingMeta") else {}
    return normalized(
        tags, user_metadata, {"language": content_languages(answer.get("ContentLanguage"))}, missing
    )


def _decoded(value: str) -> str:
    """Return a header as text: S3 sends other characters than ASCII as RFC 2047, MinIO as UTF-8."""
    if "=?" in value:
        try:
            value = str(make_header(decode_header(value))) or value
        except (HeaderParseError, LookupError, ValueError):
            return value
    if value.isascii():
        return value
    try:
        # UTF-8 read as Latin-1, by the client or by S3 itself: some programs upload it so.
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
