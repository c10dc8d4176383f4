"""The state folder must not lie among the documents: each refresh would read what the last one wrote.

Measured: 2 documents became 104 in four refreshes, and the folder sensor never rested.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rag_assets.errors import ConfigurationError
from rag_assets.sources.base import ReadsLocalFolder, Source, is_ignored


def require_separate(state_dir: Path, sources: Iterable[Source]) -> None:
    """Check that no source would list the state folder. A hidden folder is never listed.

    Raises:
        ConfigurationError: the state folder is a folder of documents, or below one.
    """
    for source in sources:
        folder = source.local_folder if isinstance(source, ReadsLocalFolder) else None
        if folder is not None and _would_list(folder, state_dir):
            raise ConfigurationError(
                f"RAG_STATE_DIR: {state_dir} is or lies below the documents of source {source.name}, {folder}: choose "
                "another state folder, or a hidden one"
            )


def _would_list(folder: Path, state_dir: Path) -> bool:
    state_dir = state_dir.absolute().resolve()
    names: list[str] = []
    for parent in (state_dir, *state_dir.parents):
        same = parent == folder.resolve()
        with suppress(OSError):
            # Not only by name: on macOS upper and lower case are the same folder, and a mount may have two names.
            same = same or parent.samefile(folder)
        if same:
            return not any(map(is_ignored, names))
        names.append(parent.name)
    return False
