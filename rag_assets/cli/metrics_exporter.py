"""`rag-assets metrics`: the exporter for Prometheus, until a person or the system ends it, or one push."""

import argparse
import signal
import threading
from importlib.util import find_spec
from types import FrameType

from rag_assets.cli.terminal import complain
from rag_assets.errors import ConfigurationError, TransientError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings


def metrics(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Serve or push. Only lines for people are printed, to stderr."""
    settings = knowledge_base.settings
    if find_spec("prometheus_client") is None:
        raise ConfigurationError(
            "rag-assets metrics needs prometheus-client: pip install 'rag-assets[metrics]'"
        )
    if not options.push:
        return _serve(settings)
    from rag_assets.tracking.metrics_exporter import push

    try:
        push(settings)
    except OSError as error:  # its message has no URL, unlike the setting with its password
        raise TransientError(
            f"the Pushgateway of RAG_PUSHGATEWAY_URL did not take the metrics ({_reason(error)}): check its URL, and try again"
        ) from None
    complain(f"pushed the metrics of {settings.collection}")
    return 0


def _reason(error: OSError) -> str:
    cause = getattr(error, "reason", None) or error
    match cause:
        case TimeoutError():
            return "no answer in time"
        case ConnectionError() if cause.strerror is None:
            return "it closed the connection"
        case OSError():
            return cause.strerror or type(cause).__name__
        case _:  # the words of an HTTP status
            return str(cause)


def _serve(settings: Settings) -> int:
    from prometheus_client import start_http_server

    from rag_assets.tracking.metrics_exporter import registry_of

    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    registry, _ = registry_of(settings)
    server, thread = start_http_server(settings.metrics_port, settings.metrics_address, registry)
    host = f"[{settings.metrics_address}]" if ":" in settings.metrics_address else settings.metrics_address
    complain(f"serving the metrics of {settings.collection} at http://{host}:{server.server_port}/metrics")
    ended.wait()
    server.shutdown()
    server.server_close()
    thread.join()
    return 0
