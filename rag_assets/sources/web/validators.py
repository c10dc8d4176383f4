"""What tells whether a page changed: ETag, Last-Modified, and a hash of the body for servers that have neither.

They are the version token of a document, so that the next refresh can ask whether it still is as it was.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Validators:
    """Of one body.

    Attributes:
        own_url: the canonical URL of the page, where that is another one than it was asked by.
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
        """Return what a token says; None if it is none of this kind."""
        try:
            values = json.loads(token)
            return cls(*(str(value) for value in values))
        except (ValueError, TypeError):
            return None

    def token(self) -> str:
        return json.dumps([self.body_hash, self.etag, self.last_modified, self.own_url])

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for the body only if it is another one."""
        headers = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


def _short(value: str) -> str:
    return value if len(value) <= _MAX_CHARACTERS and value.isascii() else ""
