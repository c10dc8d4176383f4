"""Notes about pages between refreshes: their links, because a "304 Not Modified" does not repeat them.

One JSON file per page, replaced by a rename. The notes are a cache: a missing or corrupt one is fetched again.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.text.hashing import text_sha256


@dataclass(frozen=True, slots=True)
class PageNote:
    """Note about one page.

    Attributes:
        token: version token of the body with these links.
        links: canonical URLs, in the order of the page.
        same_as: document path of the same page, or "" if this page is a document itself.
    """

    url: str
    token: str
    links: tuple[str, ...] = ()
    same_as: str = ""


class PageNotes:
    """A folder of notes, created with the first note. Any number of threads may use it at once.

    Args:
        folder: None for notes in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._in_memory: dict[str, PageNote] = {}

    def get(self, url: str) -> PageNote | None:
        if self._folder is None:
            return self._in_memory.get(url)
        try:
            stored = json.loads((self._folder / _filename(url)).read_text(encoding="utf-8"))
            note = PageNote(
                str(stored["url"]),
                str(stored["token"]),
                tuple(str(link) for link in stored["links"]),
                str(stored["same_as"]),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return note if note.url == url else None

    def put(self, note: PageNote) -> None:
        if self._folder is None:
            self._in_memory[note.url] = note
            return
        with contextlib.suppress(OSError):  # with a full disk the page is transferred again next time
            make_private_folder(self._folder)
            replace_file(self._folder / _filename(note.url), json.dumps(asdict(note)).encode())

    def remove(self, urls: Iterable[str]) -> None:
        """Delete the notes of these pages."""
        for url in urls:
            self._in_memory.pop(url, None)
            if self._folder is not None:
                (self._folder / _filename(url)).unlink(missing_ok=True)

    def keep_only(self, urls: Iterable[str]) -> None:
        """Delete the notes of all other pages."""
        urls = set(urls)
        self._in_memory = {url: note for url, note in self._in_memory.items() if url in urls}
        if self._folder is None:
            return
        kept = {_filename(url) for url in urls}
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def _filename(url: str) -> str:
    return f"{text_sha256(url)[:40]}.json"
