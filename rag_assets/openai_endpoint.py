"""Address, key and errors of an OpenAI API, for every module with requests to one.

The server's own error messages are never repeated: they may quote the input or the key.
"""

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from rag_assets.errors import ConfigurationError, causes_of

_ABOUT_LENGTH = re.compile(r"too (long|large)|token|context (length|size|window)|max\w* .{0,20}length", re.I)

OPENAI_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """A failed request.

    Attributes:
        kind: `unavailable` if the same request may succeed later, `key` for a refused key, `not_found` for an unknown
            model or path, `refused` for any other refused request.
        status: HTTP status, or None without an answer.
        says: description for a message, without a full stop.
        too_long: whether the server complains about a length. Servers say it in many ways: this is for messages only.
    """

    kind: Literal["unavailable", "key", "not_found", "refused"]
    status: int | None
    says: str
    too_long: bool = False


def failure_of(
    error: Exception, asked: str, timeout_seconds: float, max_retries: int, key_variable: str
) -> ApiFailure:
    """Return the failure behind an error of the official client or of a time limit, without any of its text.

    Args:
        asked: endpoint and model, for messages.
    """
    import openai

    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return ApiFailure("unavailable", None, f"{asked} did not answer within {timeout_seconds:g} s")
    if isinstance(error, openai.APIConnectionError):
        return ApiFailure("unavailable", None, f"{asked} {_connection_problem(error)}")
    if not isinstance(error, openai.APIStatusError):
        return ApiFailure("unavailable", None, f"{asked}: {type(error).__name__}")
    status = error.status_code
    too_long = status == 413 or bool(_ABOUT_LENGTH.search(error.response.text[:2000]))
    if status in (401, 403):
        return ApiFailure("key", status, f"{asked} refused the key ({status})")
    if status == 404:
        return ApiFailure("not_found", status, f"{asked} was not found (404)")
    if status == 429:
        if error.code == "insufficient_quota":
            return ApiFailure("unavailable", status, f"{asked}: the quota of {key_variable} is used up (429)")
        retries = f"{max_retries} {'retry' if max_retries == 1 else 'retries'}"
        says = f"{asked} limits the rate of requests (429), even after {retries}"
        return ApiFailure("unavailable", status, says)
    if status in (408, 409) or status >= 500:
        return ApiFailure("unavailable", status, f"{asked} failed with status {status}", too_long)
    return ApiFailure("refused", status, f"{asked} refused the request ({status})", too_long)


def _connection_problem(error: Exception) -> str:
    for cause in causes_of(error):
        if isinstance(cause, ConnectionRefusedError):
            return "refuses connections"
        if isinstance(cause, socket.gaierror):
            return "has an unknown host name"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "does not speak TLS as expected"
    return "closed the connection"


def checked_key(api_key: str, variable: str = "OPENAI_API_KEY") -> str:
    """Return a key without surrounding spaces.

    Raises:
        ConfigurationError: the key has characters that cannot be sent.
    """
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"{variable} is not a valid key: it is empty, or has spaces or other invalid characters"
        )
    return key


def normalize_base_url(base_url: str | None, variable: str = "OPENAI_BASE_URL") -> str:
    """Return the canonical form of a base URL: lower-case scheme and host, no default port, no slash at the end.

    Raises:
        ConfigurationError: not an http(s) URL, or a URL with a password, a query or a fragment. The endpoint is
            recorded beside its results, so it must not hold a secret.
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
            f"{variable} must not have a user name, a password, a query or a fragment. "
            "A key belongs in OPENAI_API_KEY."
        )
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
