"""Types and checks of options shared by several sources."""

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator

TextFormat = Literal["text", "markdown", "html"]
"""Format of a document's text, for sources without filenames."""

SUFFIXES: dict[TextFormat, str] = {"text": ".txt", "markdown": ".md", "html": ".html"}
"""Format -> file name suffix, by which the parser is chosen."""


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        # Without details, which would quote the value.
        raise ValueError("expected JSON") from None


JsonObject = Annotated[dict[str, Any], BeforeValidator(_from_json)]
"""A mapping. In an environment variable, a JSON object."""


def plain_url(url: str, advice: str) -> str:
    """Return the base URL of an API, without a slash at the end.

    Args:
        advice: clause about the right place for credentials.

    Raises:
        ValueError: not an http(s) URL, or a URL with credentials, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected an http or https URL without a query")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{advice}, not in the URL")
    return url.rstrip("/")
