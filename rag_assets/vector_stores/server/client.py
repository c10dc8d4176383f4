"""The client of a Qdrant server: connection, filters, indexes."""

import logging
import ssl
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.errors import ConfigurationError
from rag_assets.vector_stores.filters import LOCATIONS, Clause, Clauses, conditions_of
from rag_assets.vector_stores.indexed_fields import (
    DATETIME_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
)
from rag_assets.vector_stores.metadata_conditions import metadata_path

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

_logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60

PREFIX_SINCE = (1, 19)
_warned_about: set[str] = set()


def connect(
    url: str, api_key: str | None, *, ca_file: Path | None = None, timeout_seconds: int = TIMEOUT_SECONDS
) -> "QdrantClient":
    """Return a client. Nothing is sent yet.

    Args:
        ca_file: certificates of the authorities to trust, PEM. None: those of this machine.

    Raises:
        ConfigurationError: the URL or the file is unusable.
    """
    from qdrant_client import QdrantClient

    if "://" not in url:
        # The client guesses: http without a key, https with one. A wrong guess only says "does not answer".
        _logger.warning(
            "QDRANT_URL has no scheme, %s:// is assumed: write it out, as in http://localhost:6333",
            "https" if api_key else "http",
        )
    options: dict[str, Any] = {}
    if ca_file is not None:
        options["verify"] = _trusting(ca_file)
    try:
        with warnings.catch_warnings():
            # Also on loopback, and with every client.
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            # The version check would send a request while definitions load.
            client = QdrantClient(
                url=url,
                api_key=api_key or None,
                timeout=timeout_seconds,
                check_compatibility=False,
                **options,
            )
    except Exception as error:
        raise ConfigurationError(
            f"QDRANT_URL is unusable ({type(error).__name__}): use a URL such as http://localhost:6333"
        ) from None
    if api_key:
        _warn_about_a_key_in_the_clear(url)
    return client


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError too
        raise ConfigurationError(
            f"QDRANT_CA_FILE is unusable: {ca_file} ({error.strerror or 'no certificates in PEM format'})"
        ) from None


def _warn_about_a_key_in_the_clear(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost" or host.startswith("127.") or host == "::1":
        return
    if host not in _warned_about:
        _warned_about.add(host)
        _logger.warning(
            "QDRANT_API_KEY is sent to %s without encryption: use https:// in QDRANT_URL, unless the network in between "
            "is yours",
            host,
        )


def version_of(client: "QdrantClient") -> tuple[str, tuple[int, ...]] | None:
    """Return the version of the server, as text and as (major, minor). None if it does not tell."""
    try:
        version = str(client.info().version)
        return version, tuple(int(part) for part in version.split(".")[:2])
    except Exception:
        return None  # the next call has an error to tell


def check_supported(client: "QdrantClient", clauses: Clauses) -> None:
    """Check that the server knows the conditions of a filter. An older one would only answer "400, format error".

    Raises:
        ConfigurationError: a filter by prefix on a server before 1.19.
    """
    if not any(clause.match == "prefix" for clause in (*clauses.of_point, *clauses.of_location)):
        return
    version = version_of(client)
    if version is not None and version[1] < PREFIX_SINCE:
        raise ConfigurationError(
            f"prefix filters need Qdrant {PREFIX_SINCE[0]}.{PREFIX_SINCE[1]}, this server is {version[0]}: update it, or "
            "filter by another condition"
        )


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


def index_params(metadata_indexes: MetadataIndexes) -> list[tuple[str, Any, Any]]:
    """Return (field, parameters, parameters for an older server) of every payload index."""
    from qdrant_client import models

    keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
    integer = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True)
    date = models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME)
    nested_keyword = keyword.model_copy(update={"prefix": True, "nested": LOCATIONS})
    nested_date = date.model_copy(update={"nested": LOCATIONS})
    plain = {
        "keyword": keyword,
        "integer": integer,
        "float": models.FloatIndexParams(type=models.FloatIndexType.FLOAT),
        "datetime": date,
        "bool": models.BoolIndexParams(type=models.BoolIndexType.BOOL),
    }
    metadata: list[tuple[str, Any, Any]] = []
    for key, kind in sorted(metadata_indexes.items()):
        update = {"nested": LOCATIONS, **({"prefix": True} if kind == "keyword" else {})}
        nested = plain[kind].model_copy(update=update)
        metadata.append((f"{LOCATIONS}[].{metadata_path(key)}", nested, plain[kind]))
    return [
        *((name, keyword, keyword) for name in KEYWORD_FIELDS),
        *((name, integer, integer) for name in INTEGER_FIELDS),
        *((name, date, date) for name in DATETIME_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_keyword, keyword) for name in LOCATION_KEYWORD_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_date, date) for name in LOCATION_DATETIME_FIELDS),
        *metadata,
    ]
