"""Extracted, normalized text by content hash, so that nothing is parsed twice.

Here belongs how texts lie on disk; which of them are still needed is decided by the caller of `prune`.
A text is one zlib-compressed file, `<root>/ab/ab12…`, put in place by a rename. Reads verify the hash, so
nothing needs to be synced to disk: what a power cut spoils counts as absent and is parsed again.
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

        It is written even if it is there already: that mends a damaged file, and its new modified time
        keeps it safe from a prune by another refresh.
        """
        data = text.encode()
        text_hash = text_sha256(text)
        path = self._path(text_hash)
        make_private_folder(path.parent)
        replace_file(path, zlib.compress(data, _COMPRESSION_LEVEL))
        return text_hash

    def get(self, text_hash: str) -> str | None:
        """Return the text; None if it is absent. A truncated or damaged file is removed, and so is absent too."""
        text = self.peek(text_hash)
        if text is None and _HASH.fullmatch(text_hash):
            # As long as it stood there, `has` would say that the text is kept, and no source would be read again.
            self._path(text_hash).unlink(missing_ok=True)
        return text

    def peek(self, text_hash: str) -> str | None:
        """As `get`, but leave everything as it is."""
        if not _HASH.fullmatch(text_hash):
            return None
        try:
            data = zlib.decompress(self._path(text_hash).read_bytes())
        except (FileNotFoundError, zlib.error):
            return None
        return data.decode() if hashlib.sha256(data).hexdigest() == text_hash else None

    def has(self, text_hash: str) -> bool:
        """Return whether a file is there that is not empty. Only `get` can tell whether it is intact."""
        if not _HASH.fullmatch(text_hash):
            return False
        try:
            return self._path(text_hash).stat().st_size > 0  # a power cut leaves empty files
        except FileNotFoundError:
            return False

    def existing(self) -> set[str]:
        """Return the hashes of all texts that are there, as `has` would."""
        return {entry.name for entry in self._entries() if _HASH.fullmatch(entry.name)}

    def prune(self, keep: Set[str] | Callable[[str], bool]) -> int:
        """Remove the texts that are not kept, and leftovers of killed writers; return how many texts went.

        Nothing written within the last hour is removed: another refresh may be about to use it.
        """
        is_kept = keep if callable(keep) else keep.__contains__
        oldest_allowed = time.time() - _GRACE_SECONDS
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
    # Moved aside first, then looked at: a writer may have put the text anew since it was listed.
    aside = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{time.monotonic_ns()}")
    path.rename(aside)
    if aside.stat().st_mtime >= oldest_allowed:
        aside.replace(path)
        return False
    aside.unlink()
    return True
