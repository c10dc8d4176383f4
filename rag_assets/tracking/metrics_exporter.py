"""The exporter: reads the tables at each scrape, and serves or pushes the families. Imports prometheus-client.

Each run is a process of its own, so no process could count for all. The totals are in the tables, and a scrape or a push
brings exactly them.
"""

import json
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import basic_auth_handler, default_handler, push_to_gateway
from prometheus_client.registry import Collector

from rag_assets.embedders.registry import LOCAL_NAMES
from rag_assets.embedders.wordllama import MODEL_NAME
from rag_assets.errors import ConfigurationError, MetadataTablesUnavailable
from rag_assets.knowledge_base import OPENAI_MODEL
from rag_assets.settings import Settings
from rag_assets.time_limits import NothingCame, within
from rag_assets.tracking.connections import Deadline, explain
from rag_assets.tracking.metric_families import Configured, families
from rag_assets.tracking.metrics_state import AmbiguousNameError, MetricsState, read_metrics_state
from rag_assets.tracking.outbox import Outbox
from rag_assets.tracking.prometheus_metrics import KNOWLEDGE_BASE

JOB = "rag-assets"
"""Name of the job, in the configuration of Prometheus and in the group of the Pushgateway."""
_READING_SECONDS = 6.0
"""Less than the 10 seconds that Prometheus waits for a scrape."""
_MARGIN_SECONDS = 1.0
_PUSH_SECONDS = 30.0
_logger = logging.getLogger(__name__)


class TablesCollector(Collector):
    """The families of one knowledge base, read at each scrape.

    Attributes:
        problem: of the last scrape, "" for none. Told once, not at each scrape.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.state_dir / "tracking" / settings.collection
        self._lock = threading.Lock()
        self.problem = ""

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would read the tables to find the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        with self._lock:  # scrapes at once would only wait for each other in the database
            state = self._state()
        yield from families(state, self._configured())

    def _state(self) -> MetricsState | None:
        url = self._settings.metadata_url
        place = url.get_secret_value() if url is not None else self._settings.state_dir / "metadata.sqlite"
        try:
            state = within(_READING_SECONDS, lambda: self._read(place))
        except Exception as error:  # of the database, its driver, or the disk
            self._tell(_explain(error, place))
            return None
        self._tell("")
        return state

    def _read(self, place: Path | str) -> MetricsState:
        deadline = Deadline(_READING_SECONDS - _MARGIN_SECONDS)
        return read_metrics_state(place, self._settings.collection, self._identity(), deadline)

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            _logger.warning("the metrics are unavailable: %s", problem)
        elif self.problem and not problem:
            _logger.warning("the metrics are available again")
        self.problem = problem

    def _identity(self) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((self._folder / "knowledge_base.json").read_text(encoding="utf-8"))["id"])
        return None

    def _configured(self) -> Configured:
        settings = self._settings
        num_waiting = Outbox(self._folder).num_waiting if settings.state_dir.is_dir() else None
        return Configured(settings.collection, settings.eval_threshold, _model(settings), num_waiting)


def _explain(error: Exception, place: Path | str) -> str:
    if isinstance(error, NothingCame):
        return f"no answer within {_READING_SECONDS:.0f} s"
    return str(error) if isinstance(error, AmbiguousNameError) else explain(error, place)


def _model(settings: Settings) -> str:
    """Return the model that the settings name. Production may have another: its series come with its first tokens."""
    name = settings.embedding_model or (OPENAI_MODEL if settings.openai_api_key else LOCAL_NAMES[0])
    return MODEL_NAME if name in LOCAL_NAMES else name.removeprefix("openai:")


def registry_of(settings: Settings) -> tuple[CollectorRegistry, TablesCollector]:
    """Return a registry with the knowledge base alone: nothing about this process."""
    registry, collector = CollectorRegistry(), TablesCollector(settings)
    registry.register(collector)
    return registry, collector


def push(settings: Settings) -> None:
    """Replace the group of this knowledge base in the Pushgateway. Nothing is pushed while the tables do not answer.

    Raises:
        ConfigurationError: no Pushgateway is set.
        MetadataTablesUnavailable: the tables do not answer.
        OSError: the Pushgateway does not take it.
    """
    if settings.pushgateway_url is None:
        raise ConfigurationError(
            "RAG_PUSHGATEWAY_URL is not set: set it to the URL of the Pushgateway, such as http://localhost:9091"
        )
    parts = urlsplit(settings.pushgateway_url.get_secret_value())
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def handler(**request: Any) -> Any:
        if parts.username is None:
            return default_handler(**request)
        user, password = unquote(parts.username), unquote(parts.password or "")
        return basic_auth_handler(**request, username=user, password=password)

    registry, collector = registry_of(settings)
    group = {KNOWLEDGE_BASE: settings.collection}
    found = list(registry.collect())
    if collector.problem:
        raise MetadataTablesUnavailable(f"{collector.problem}. Nothing was pushed")
    push_to_gateway(address, JOB, _Once(found), group, _PUSH_SECONDS, handler)


class _Once(CollectorRegistry):
    """Families read before: a push must not read them again, when the tables may be down."""

    def __init__(self, found: list[Metric]) -> None:
        super().__init__()
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found
