"""Metadata in the listings of file systems of fsspec: those of Google Cloud Storage and Azure.

gcsfs lists the resource of an object, with `metadata` and `contentLanguage`. adlfs lists `metadata` and
`content_settings`. Other file systems list no metadata.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.sources.content_language import content_languages

# Written by programs for themselves: folders on Azure, times of gsutil.
_TECHNICAL = re.compile(r"is_directory|hdi_.*|goog-reserved-.*", re.IGNORECASE)


def metadata_of(info: Mapping[str, Any]) -> Metadata:
    """Return the metadata of a listed file."""
    found: dict[Any, Any] = {}
    listed = info.get("metadata")
    if isinstance(listed, Mapping):
        metadata = cast("Mapping[Any, Any]", listed)
        found = {key: value for key, value in metadata.items() if not _TECHNICAL.fullmatch(str(key))}
    settings = info.get("content_settings")
    language = info.get("contentLanguage") or getattr(settings, "content_language", None)
    return normalized(found, {"language": content_languages(language) if isinstance(language, str) else None})
