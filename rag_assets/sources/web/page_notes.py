"""What is remembered of pages from one refresh to the next: their links, which a "304 Not Modified" does not repeat.

One JSON file a page, put in place by a rename. Nothing here is needed: what is absent or damaged is fetched again.
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
    """What is remembered of one page.

    Attributes:
        token: version token of the body in which the links were.
        links: canonical URLs, in the order of the page.
        same_as: path of the document that this page is the same as, "" if it is one itself.
    """

    url: str
    token: str
    links: tuple[str, ...] = ()
    same_as: str = ""


class PageNotes:
    """A folder of notes, made with the first one. Any number of threads may use it at once.

    Args:
        folder: None to keep the notes in memory only.
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
        with contextlib.suppress(OSError):  # a full disk costs a transfer
            make_private_folder(self._folder)
            replace_file(self._folder / _filename(note.url), json.dumps(asdict(note)).encode())

    def keep_only(self, urls: Iterable[str]) -> None:
        """Forget all other pages."""
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
