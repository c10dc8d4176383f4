"""The sources by name. A new source is one file here and one line in `SOURCES`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_assets.errors import ConfigurationError
from rag_assets.parsers import supported_suffixes
from rag_assets.sources.base import Source
from rag_assets.sources.filesystem import FilesystemSource

SOURCES: dict[str, Callable[[Path, frozenset[str]], Source]] = {
    "filesystem": lambda documents_dir, suffixes: FilesystemSource(documents_dir, suffixes=suffixes),
}


def build_sources(names: Sequence[str], documents_dir: Path) -> list[Source]:
    """Return the named sources, each once.

    Raises:
        ConfigurationError: a name that is not known, or no name at all.
    """
    known = ", ".join(sorted(SOURCES))
    unknown = sorted(set(names) - set(SOURCES))
    if unknown:
        raise ConfigurationError(f"RAG_SOURCES names unknown sources: {', '.join(unknown)}. Known: {known}.")
    if not names:
        raise ConfigurationError(f"RAG_SOURCES names no source. Known: {known}.")
    return [SOURCES[name](documents_dir, supported_suffixes()) for name in dict.fromkeys(names)]
