"""The identity of a URL: the URL without its secrets.

Signatures say who may read a page and until when, never which page it is: they are left out. The value of any other
parameter that looks like a credential may also choose the page, as in `?key=HR-12`: a short keyed hash takes its place.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_plus

from rag_assets.document_metadata.url_secrets import is_secret_parameter, is_signature

_QUERY = re.compile(r"\?([^#]*)")
_OLDER_SIGNATURES: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    # Marks of the signature -> all its parameters: AWS before version 4, Google before version 4, CloudFront, Azure.
    (frozenset(("awsaccesskeyid", "signature")), frozenset(("awsaccesskeyid", "signature", "expires"))),
    (frozenset(("googleaccessid", "signature")), frozenset(("googleaccessid", "signature", "expires"))),
    (
        frozenset(("key-pair-id", "signature")),
        frozenset(("key-pair-id", "signature", "expires", "policy", "hash-algorithm")),
    ),
    (
        frozenset(("sv", "sig")),
        frozenset(
            [
                "sv",
                "sig",
                "se",
                "st",
                "sr",
                "sp",
                "sip",
                "spr",
                "ss",
                "srt",
                "si",
                "skoid",
                "sktid",
                "skt",
                "ske",
                "sks",
                "skv",
                "saoid",
                "suoid",
                "scid",
                "sdd",
                "ses",
            ]
        ),
    ),
)
_REPLACED = re.compile(r"~[0-9a-f]{12}")


class UrlIdentity:
    """Makes identities of URLs.

    Args:
        signature_parameters: names of further parameters to leave out.
        key: returns the key of the hashes. Called with the first secret.
    """

    def __init__(self, signature_parameters: Sequence[str] = (), key: Callable[[], str] = str) -> None:
        self._left_out = {name.lower() for name in signature_parameters}
        self._key = key

    def of(self, url: str) -> str:
        """Return a URL, or the end of one, without secrets. The identity of an identity is itself."""
        return _QUERY.sub(lambda match: self._query(match[1]), url, count=1)

    def secrets_in(self, url: str) -> list[str]:
        """Return the values of parameters that are no part of the identity, as written and decoded."""
        kept = set(self.of(url).partition("?")[2].split("&"))
        found = [pair for match in _QUERY.findall(url) for pair in match.split("&") if pair not in kept]
        values = [pair.partition("=")[2] for pair in found]
        return [*values, *map(unquote_plus, values)]

    @staticmethod
    def can_be_requested(identity: str) -> bool:
        """Return whether no value of an identity is a hash."""
        return not any(
            _REPLACED.fullmatch(pair.partition("=")[2]) for pair in identity.partition("?")[2].split("&")
        )

    def _query(self, query: str) -> str:
        pairs = [pair.partition("=") for pair in query.split("&")]
        names = {name.lower() for name, _, _ in pairs}
        left_out = self._left_out.union(*(parts for marks, parts in _OLDER_SIGNATURES if marks <= names))
        kept = "&".join(
            f"{name}{equals}{self._shown(name, value)}"
            for name, equals, value in pairs
            if name.lower() not in left_out and not is_signature(name)
        )
        return f"?{kept}" if kept else ""

    def _shown(self, name: str, value: str) -> str:
        if not value or _REPLACED.fullmatch(value) or not is_secret_parameter(name, value):
            return value
        return f"~{hmac.new(self._key().encode(), value.encode(), hashlib.sha256).hexdigest()[:12]}"
