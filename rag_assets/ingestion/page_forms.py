"""The form of a page: its words without the parts in which two copies of one maintenance page differ.

These are numbers, times, ids and addresses, and the name of the requested document.
"""

import re

from rag_assets.changes.near_duplicates import words_of
from rag_assets.records import Location
from rag_assets.text.hashing import text_sha256

_MOST_CHARACTERS = 10_000
"""A longer text is no maintenance page."""
_FEWEST_WORDS = 5
_FEWEST_SHARE = 0.5
# With a digit, a slash or an at sign it is variable: 10:15:02, 2026-11-30, 8f14e45f, /hr/leave, help@example.com.
_LATIN_RUN = re.compile("[!-~\u00a1-\u024f]+")
_VARIABLE = re.compile(r"[\d/@]")
_SHORTEST_NAME = 3


def forms_of(text: str, location: Location) -> list[str]:
    """Return hashes of the words in a text that belong to its form: without the name of the document, and with it.

    Two, because a name may be a usual word. Empty if the words are too few to tell, or the text is too long.
    """
    if len(text) > _MOST_CHARACTERS:
        return []
    text = text.lower()
    nameless = text
    for name in sorted(_names(location), key=len, reverse=True):
        if name in nameless:  # most texts do not hold it, and compiling takes longer than looking
            nameless = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", nameless)
    fewest = max(_FEWEST_WORDS, _FEWEST_SHARE * len(words_of(text)))
    forms = (words_of(_LATIN_RUN.sub(_without_variable, one)) for one in dict.fromkeys((nameless, text)))
    return list(dict.fromkeys(text_sha256(" ".join(words)) for words in forms if len(words) >= fewest))


def _without_variable(run: re.Match[str]) -> str:
    return " " if _VARIABLE.search(run[0]) else run[0]


def _names(location: Location) -> set[str]:
    stem = location.filename.rpartition(".")[0]
    names = {location.path, location.source_uri, location.filename, stem, location.title}
    return {name.lower() for name in names if len(name) >= _SHORTEST_NAME}
