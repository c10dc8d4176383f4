"""What all that ask an OpenAI API have in common: its address, its key, and what its errors mean.

What the server says about an error is never repeated: it may quote the input, or the key.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from rag_assets.errors import ConfigurationError

OPENAI_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """Why a request came to nothing.

    Attributes:
        kind: `unavailable`: the same request may succeed later; `key`: it is refused; `not_found`: model or path;
            `refused`: this request is.
        status: of HTTP, or None if there was no answer.
        says: what happened, without a full stop.
    """

    kind: Literal["unavailable", "key", "not_found", "refused"]
    status: int | None
    says: str


def failure_of(
    error: Exception, asked: str, timeout_seconds: float, max_retries: int, key_variable: str
) -> ApiFailure:
    """Return what an error of the official client, or of waiting for it, means, with nothing of its text.

    Args:
        asked: endpoint and model, for a person.
    """
    import openai

    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return ApiFailure("unavailable", None, f"{asked} did not answer within {timeout_seconds:g} s")
    if isinstance(error, openai.APIConnectionError):
        return ApiFailure("unavailable", None, f"no connection to {asked}")
    if not isinstance(error, openai.APIStatusError):
        return ApiFailure("unavailable", None, f"{asked}: {type(error).__name__}")
    status = error.status_code
    if status in (401, 403):
        return ApiFailure("key", status, f"{asked} refused the key ({status})")
    if status == 404:
        return ApiFailure("not_found", status, f"{asked} is not found (404)")
    if status == 429:
        if error.code == "insufficient_quota":
            return ApiFailure("unavailable", status, f"{asked}: the quota of {key_variable} is used up (429)")
        says = f"{asked} limits the rate (429), still after {max_retries} retries"
        return ApiFailure("unavailable", status, says)
    if status in (408, 409) or status >= 500:
        return ApiFailure("unavailable", status, f"{asked} failed with status {status}")
    return ApiFailure("refused", status, f"{asked} refused the request ({status})")


def checked_key(api_key: str, variable: str = "OPENAI_API_KEY") -> str:
    """Return a key without the space around it.

    Raises:
        ConfigurationError: it cannot be sent.
    """
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"{variable} is empty, or holds spaces or other characters that no key has")
    return key


def normalize_base_url(base_url: str | None, variable: str = "OPENAI_BASE_URL") -> str:
    """Return the base URL in one spelling: lower-case scheme and host, no default port, no slash at the end.

    Raises:
        ConfigurationError: it is no http(s) URL, or holds a password, a query or a fragment. The endpoint is
            recorded with what it made, so nothing secret may be in it.
    """
    if base_url is None or not base_url.strip():
        return OPENAI_BASE_URL
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        parts, port, host = urlsplit(""), None, ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{variable} is not an http or https URL, such as http://localhost:8080/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{variable} must not hold a user name, a password, a query or a fragment; "
            "a key belongs in OPENAI_API_KEY"
        )
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
