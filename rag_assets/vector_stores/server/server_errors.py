"""The errors of a Qdrant server, told by their reason. What a retry cannot mend fails at once."""

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Generator
from typing import TYPE_CHECKING

from rag_assets.effective_settings import without_credentials
from rag_assets.errors import ConfigurationError, RagAssetsError, VectorStoreUnavailable, causes_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_UNREACHABLE = "Start it, or check QDRANT_URL and the network, then try again"
_SEE_LOG = "See its log, then try again"
_LONGEST_REASON = 300
_HANDSHAKE_SECONDS = 1.0
# These speak of limits, names and nodes. Others may quote a document.
_QUOTES_NO_DOCUMENT = re.compile(
    r"(Forbidden|Bad request|Not found|Timeout|Service internal error|Too many|"
    r"Wrong input: (Vector dimension|Not existing vector|Collection))"
)
_UNINDEXED = re.compile(r'Index required but not found for "([^"]{1,200})')
_PART_IS_AWAY = re.compile(
    r"no active replica|not enough active replicas|read operations? failed|Peer.*not", re.IGNORECASE
)


class Hiccup(VectorStoreUnavailable):
    """The server did not answer, or was busy. The same call may succeed in a moment.

    Attributes:
        wait_seconds: as the server asks for, 0 if it does not.
    """

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def is_missing(error: Exception) -> bool:
    """Return whether Qdrant says that something does not exist. A 404 of another server or path is no such answer."""
    from qdrant_client.http.exceptions import UnexpectedResponse

    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404 and _reason_in(error.content) is not None
    return isinstance(error, ValueError) and "not found" in str(error)


@contextlib.contextmanager
def server_errors(client: "QdrantClient", what: str, *, quote: bool = True) -> Generator[None]:
    """Turn the errors of the client into ours.

    Args:
        client: its address and time limit are named.
        what: the failed action, as in "cannot {what}".
        quote: whether any answer of the server may be quoted. After sending documents it may quote them: then only
            reasons about limits, names and nodes are.
    """
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

    cannot = f"cannot {what}: {_described(client)}"
    try:
        yield
    except RagAssetsError:
        raise
    except UnexpectedResponse as error:
        raise _answered(cannot, error.status_code or 0, error.content, quote=quote) from None
    except ResourceExhaustedResponse as error:
        raise Hiccup(
            f"{cannot} limits the rate of requests, and asks to wait {error.retry_after_s} s",
            float(error.retry_after_s or 0),
        ) from None
    except (ApiException, OSError) as error:
        seconds = client.init_options.get("timeout")
        raise _not_answered(cannot, getattr(error, "source", error), seconds) from None
    except (json.JSONDecodeError, AssertionError):  # the client asserts that there is a result
        raise _no_qdrant(cannot) from None
    except Exception as error:
        said = f": {str(error)[:200]}" if quote else ""
        raise VectorStoreUnavailable(f"cannot {what}: {type(error).__name__}{said}") from None


def _described(client: "QdrantClient") -> str:
    """Return the subject of a sentence about the server, without credentials."""
    url = client.init_options.get("url")
    return f"the vector store, Qdrant at {without_credentials(url)}," if url else "the vector store"


def _answered(cannot: str, status: int, content: bytes, *, quote: bool) -> RagAssetsError:
    reason = _reason_in(content)
    if reason is None:
        if status == 429 or status >= 500:
            return Hiccup(f"{cannot} answered {status}. {_SEE_LOG}")
        if status in (401, 403):
            return _refused_key(cannot, status)
        return ConfigurationError(
            f"{cannot} is no Qdrant server: it answered {status} without a reason. Check host, port and path in QDRANT_URL"
        )
    shown = f" ({reason})" if quote or _QUOTES_NO_DOCUMENT.match(reason) else ""
    if status == 401 or (status == 403 and "strict mode" not in reason.lower() and "Help:" not in reason):
        return _refused_key(cannot, status)
    if status >= 500 and _PART_IS_AWAY.search(reason):
        return Hiccup(
            f"{cannot} answered {status}{shown}: a part of the collection is on a node that is away. Start the node again, "
            "or set RAG_QDRANT_REPLICAS to 2 before the next rebuild"
        )
    if status == 429 or status >= 500:
        return Hiccup(f"{cannot} answered {status}{shown}. {_SEE_LOG}")
    if status in (404, 409):
        return VectorStoreUnavailable(f"{cannot} answered {status}{shown}. Try again")
    if unindexed := _UNINDEXED.search(reason):
        return ConfigurationError(
            f"{cannot} is in strict mode and filters only by fields with an index, {unindexed[1]} has "
            "none. Name a metadata key in RAG_METADATA_INDEXES and refresh, or allow unindexed filters on the server"
        )
    return ConfigurationError(f"{cannot} answered {status}{shown or '. Its log has the reason'}")


def _refused_key(cannot: str, status: int) -> ConfigurationError:
    return ConfigurationError(f"{cannot} refused the request ({status}): check QDRANT_API_KEY")


def _reason_in(content: bytes) -> str | None:
    """Return the reason in an answer of Qdrant, in one line. None if it is no such answer."""
    try:
        said = json.loads(content)["status"]["error"]
    except (ValueError, LookupError, TypeError):
        return None
    line = " ".join(str(said).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def _not_answered(cannot: str, error: BaseException, timeout_seconds: float | None) -> RagAssetsError:
    import httpx

    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"{cannot} has a certificate that is not trusted ({cause.verify_message}). "
                "Set QDRANT_CA_FILE to the certificate of its authority"
            )
        if isinstance(cause, ssl.SSLError):
            return ConfigurationError(
                f"{cannot} does not speak TLS. Use http:// in place of https://, or another port, in QDRANT_URL "
                f"({cause.reason})"
            )
        if isinstance(cause, socket.gaierror):
            return Hiccup(
                f"{cannot} has an unknown host name ({cause.strerror}). Check it in QDRANT_URL, or the name server"
            )
        if isinstance(cause, ConnectionRefusedError):
            return Hiccup(f"{cannot} refuses connections. {_UNREACHABLE}")
    if _speaks_tls(error):
        return ConfigurationError(f"{cannot} speaks TLS. Use https:// in place of http:// in QDRANT_URL")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        within = f" within {timeout_seconds:g} s" if timeout_seconds else " in time"
        return Hiccup(f"{cannot} did not answer{within}. {_UNREACHABLE}")
    if isinstance(error, ValueError):
        return _no_qdrant(cannot)
    return Hiccup(f"{cannot} closed the connection ({type(error).__name__}). {_UNREACHABLE}")


def _no_qdrant(cannot: str) -> ConfigurationError:
    return ConfigurationError(
        f"{cannot} is no Qdrant server: its answer is of another kind. Check host, port and path in QDRANT_URL"
    )


def _speaks_tls(error: BaseException) -> bool:
    """Return whether a connection that was closed without an answer leads to a server with TLS."""
    import httpx

    if (
        not isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        or error.request.url.scheme != "http"
    ):
        return False
    url = error.request.url
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((url.host, url.port or 80), _HANDSHAKE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=url.host),
        ):
            return True
    except OSError:
        return False
