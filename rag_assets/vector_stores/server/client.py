"""The client of a Qdrant server: connection, errors, filters, indexes."""

import contextlib
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from rag_assets.errors import ConfigurationError, RagAssetsError, VectorStoreUnavailable
from rag_assets.vector_stores.filters import LOCATIONS, Clause, Clauses, conditions_of
from rag_assets.vector_stores.indexed_fields import (
    DATETIME_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

_logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60


class Hiccup(VectorStoreUnavailable):
    """The server did not answer, or was busy. The same call may succeed in a moment."""


def connect(url: str, api_key: str | None) -> "QdrantClient":
    """Return a client. Nothing is sent yet.

    Raises:
        ConfigurationError: the URL is unusable.
    """
    from qdrant_client import QdrantClient

    if "://" not in url:
        # The client guesses: http without a key, https with one. A wrong guess only says "does not answer".
        _logger.warning(
            "QDRANT_URL has no scheme, %s:// is assumed: write it out, as in http://localhost:6333",
            "https" if api_key else "http",
        )
    try:
        # The version check would send a request while definitions load.
        return QdrantClient(
            url=url, api_key=api_key or None, timeout=TIMEOUT_SECONDS, check_compatibility=False
        )
    except Exception as error:
        raise ConfigurationError(
            f"QDRANT_URL is unusable ({type(error).__name__}): use a URL such as http://localhost:6333"
        ) from None


def is_missing(error: Exception) -> bool:
    from qdrant_client.http.exceptions import UnexpectedResponse

    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404
    return isinstance(error, ValueError) and "not found" in str(error)


@contextlib.contextmanager
def server_errors(what: str, *, quote: bool = True) -> Generator[None]:
    """Turn the errors of the client into ours.

    Args:
        what: the failed action, as in "cannot {what}".
        quote: whether the answer of the server may be quoted. Never after sending documents: the answer quotes them.
    """
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

    try:
        yield
    except RagAssetsError:
        raise
    except UnexpectedResponse as error:
        status = error.status_code or 0
        said = f": {error.content[:200]!r}" if quote else ""
        if status in (401, 403):
            raise ConfigurationError(
                f"the server at QDRANT_URL refused to {what} ({status}): check QDRANT_API_KEY"
            ) from None
        if status == 429 or status >= 500:
            raise Hiccup(f"cannot {what}: the server answered {status}{said}") from None
        if status in (404, 409):
            raise VectorStoreUnavailable(f"cannot {what}: the server answered {status}{said}") from None
        raise ConfigurationError(f"cannot {what}: the server answered {status}{said}") from None
    except (ApiException, ResourceExhaustedResponse, OSError) as error:
        cause = getattr(error, "source", error)
        raise Hiccup(
            f"cannot {what}: the server at QDRANT_URL does not answer ({type(cause).__name__})"
        ) from None
    except Exception as error:
        said = f": {str(error)[:200]}" if quote else ""
        raise VectorStoreUnavailable(f"cannot {what}: {type(error).__name__}{said}") from None


def server_filter(clauses: Clauses) -> "models.Filter | None":
    from qdrant_client import models

    def nested(inner: list[Any]) -> Any:
        return models.NestedCondition(nested=models.Nested(key=LOCATIONS, filter=models.Filter(must=inner)))

    def either(inner: list[Any]) -> Any:
        return models.Filter(should=inner)

    conditions: list[Any] = conditions_of(clauses, _server_condition, nested, either)
    return models.Filter(must=conditions) if conditions else None


def _server_condition(clause: Clause, prefix: str) -> "models.FieldCondition":
    from qdrant_client import models

    key, value = prefix + clause.key, clause.value
    if clause.match == "equals":
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if clause.match == "any_of":
        return models.FieldCondition(key=key, match=models.MatchAny(any=value))
    if clause.match == "prefix":
        return models.FieldCondition(key=key, match=models.MatchPrefix(prefix=value))
    if clause.match == "number_range":
        return models.FieldCondition(key=key, range=models.Range(**value))
    return models.FieldCondition(key=key, range=models.DatetimeRange(**value))


def index_params() -> list[tuple[str, Any, Any]]:
    """Return (field, parameters, parameters for an older server) of every payload index."""
    from qdrant_client import models

    keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
    integer = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True)
    date = models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME)
    nested_keyword = keyword.model_copy(update={"prefix": True, "nested": LOCATIONS})
    nested_date = date.model_copy(update={"nested": LOCATIONS})
    return [
        *((name, keyword, keyword) for name in KEYWORD_FIELDS),
        *((name, integer, integer) for name in INTEGER_FIELDS),
        *((name, date, date) for name in DATETIME_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_keyword, keyword) for name in LOCATION_KEYWORD_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_date, date) for name in LOCATION_DATETIME_FIELDS),
    ]
