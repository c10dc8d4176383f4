"""Extracted, normalized text by content hash: nothing is parsed twice.

Here belongs the layout on disk. The caller of `prune` decides about the texts to keep. A text is one zlib-compressed
file, `<root>/ab/ab12…`, put in place by a rename. Reads verify the hash, so nothing needs to be synced to disk: a file
damaged by a power cut counts as absent, and its document is parsed again.
"""

import contextlib
import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from rag_assets.disk.atomic_files import TEMPORARY_PREFIX, replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.text.hashing import text_sha256

_HASH = re.compile("[0-9a-f]{64}")
_COMPRESSION_LEVEL = 1
_GRACE_SECONDS = 3600.0


class TextStore:
    """A folder of texts. Any number of threads and processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, text: str) -> str:
        """Store a text and return its hash.

        An existing file is written again. This repairs a damaged file, and the new modified time protects the text
        from a prune by another refresh.
        """
        data = text.encode()
        text_hash = text_sha256(text)
        path = self._path(text_hash)
        make_private_folder(path.parent)
        replace_file(path, zlib.compress(data, _COMPRESSION_LEVEL))
        return text_hash

    def get(self, text_hash: str) -> str | None:
        """Return the text, None if it is absent. A truncated or damaged file is removed and counts as absent."""
        text = self.peek(text_hash)
        if text is None and _HASH.fullmatch(text_hash):
            # With the file there, `has` would report the text as kept, and no source would be read again.
            self._path(text_hash).unlink(missing_ok=True)
        return text

    def peek(self, text_hash: str) -> str | None:
        """As `get`, without removing anything."""
        if not _HASH.fullmatch(text_hash):
            return None
        try:
            data = zlib.decompress(self._path(text_hash).read_bytes())
        except (FileNotFoundError, zlib.error):
            return None
        return data.decode() if hashlib.sha256(data).hexdigest() == text_hash else None

    def has(self, text_hash: str) -> bool:
        """Return whether there is a non-empty file. Only `get` can tell whether it is intact."""
        if not _HASH.fullmatch(text_hash):
            return False
        try:
            return self._path(text_hash).stat().st_size > 0  # a power cut leaves empty files
        except FileNotFoundError:
            return False

    def existing(self) -> set[str]:
        """Return the hashes of all texts, as judged by `has`."""
        return {entry.name for entry in self._entries() if _HASH.fullmatch(entry.name)}

    def prune(self, keep: Set[str] | Callable[[str], bool], *, grace_seconds: float = _GRACE_SECONDS) -> int:
        """Remove all other texts and the leftovers of killed writers, and return the number of removed texts.

        Nothing written within the last hour is removed: another refresh may be about to use it.

        Args:
            grace_seconds: negative removes everything, also a text with a modified time in the future.
        """
        is_kept = keep if callable(keep) else keep.__contains__
        oldest_allowed = time.time() - grace_seconds if grace_seconds >= 0 else float("inf")
        pruned = 0
        for entry in self._entries():
            is_text = bool(_HASH.fullmatch(entry.name))
            if (is_text and is_kept(entry.name)) or not (is_text or entry.name.startswith(TEMPORARY_PREFIX)):
                continue
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest_allowed:
                    pruned += _remove_unless_fresh(Path(entry.path), oldest_allowed) and is_text
        return pruned

    def _path(self, text_hash: str) -> Path:
        return self.root / text_hash[:2] / text_hash

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        if not self.root.is_dir():
            return
        for folder in os.scandir(self.root):
            if folder.is_dir(follow_symlinks=False):
                with os.scandir(folder.path) as entries:
                    yield from entries


def _remove_unless_fresh(path: Path, oldest_allowed: float) -> bool:
    # Moved aside before the check: a writer may have stored the text again since it was listed.
    aside = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{time.monotonic_ns()}")
    path.rename(aside)
    if aside.stat().st_mtime >= oldest_allowed:
        aside.replace(path)
        return False
    aside.unlink()
    return True
