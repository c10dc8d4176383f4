"""Validators of a page: ETag, Last-Modified, and a hash of the body for servers without either.

Together they are the version token of a document. With it the next refresh asks whether the page has changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Validators:
    """Validators of one body.

    Attributes:
        own_url: canonical URL of the page, if it differs from the requested one.
    """

    body_hash: str = ""
    etag: str = ""
    last_modified: str = ""
    own_url: str = ""

    @classmethod
    def of(cls, body: bytes, headers: Mapping[str, str], own_url: str = "") -> "Validators":
        return cls(
            hashlib.sha256(body).hexdigest()[:32],
            _short(headers.get("etag", "")),
            _short(headers.get("last-modified", "")),
            own_url,
        )

    @classmethod
    def from_token(cls, token: str) -> "Validators | None":
        """Return the validators in a token, or None if it is not such a token."""
        try:
            values = json.loads(token)
            return cls(*(str(value) for value in values))
        except (ValueError, TypeError):
            return None

    def token(self) -> str:
        return json.dumps([self.body_hash, self.etag, self.last_modified, self.own_url])

    def conditions(self) -> dict[str, str]:
        """Return headers for a conditional request: the body is sent only if it has changed."""
        headers = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


def _short(value: str) -> str:
    return value if len(value) <= _MAX_CHARACTERS and value.isascii() else ""
