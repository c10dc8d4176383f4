"""Sources removed from the configuration but still with documents in production, and sources set up but not asked.

The removal may be a mistake, or the source may have a new name. So its documents are kept, and the reports name it.
"""

from collections import Counter
from collections.abc import Iterable

from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError
from rag_assets.records import DocumentState
from rag_assets.settings import Settings
from rag_assets.sources.declarations import source_names
from rag_assets.sources.unasked_sources import unasked_sources


def unconfigured_sources(settings: Settings, production: Iterable[DocumentState]) -> dict[str, int]:
    """Return unconfigured source -> its documents in production."""
    try:
        configured = source_names(settings.sources, settings.sources_file)
    except ConfigurationError:
        return {}  # the configured sources are unknown; a refresh and `doctor` report the error
    counts = Counter(state.location.source for state in production)
    return {source: count for source, count in sorted(counts.items()) if source not in configured}


def ignored_sources(settings: Settings) -> dict[str, str]:
    """Return kind -> sign of its set-up, for sources that `RAG_SOURCES` does not name."""
    try:
        return unasked_sources(
            settings.sources, settings.sources_file, read_environment().variables, settings.home
        )
    except ConfigurationError:
        return {}
