"""The hash of a text, wherever one is the key of a text."""

import hashlib


def text_sha256(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes of a text, in hex. A lone surrogate is encoded as three bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
