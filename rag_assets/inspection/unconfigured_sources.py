"""Sources that are configured no more, and of which production still holds documents.

They may be left out or renamed by mistake, so nothing of them is deleted; served for ever, they have to be told of.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from rag_assets.errors import ConfigurationError
from rag_assets.records import DocumentState
from rag_assets.settings import Settings
from rag_assets.sources.declarations import source_names


def unconfigured_sources(settings: Settings, production: Iterable[DocumentState]) -> dict[str, int]:
    """Return source that is not configured -> documents of it in production."""
    try:
        configured = source_names(settings.sources, settings.sources_file)
    except ConfigurationError:
        return {}  # which are configured cannot be told; a refresh and `doctor` say what is wrong
    counts = Counter(state.location.source for state in production)
    return {source: count for source, count in sorted(counts.items()) if source not in configured}


def unconfigured_lines(unconfigured: Mapping[str, int]) -> list[str]:
    """Return a line a source, for a person."""
    return [
        f"NOT CONFIGURED source {source}: {count:,} documents of it are still served; docs/sources.md says how to "
        "remove them"
        for source, count in unconfigured.items()
    ]
