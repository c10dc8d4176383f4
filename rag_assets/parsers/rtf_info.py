"""The properties of an RTF file: texts and times in its `\\info` group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rag_assets.parsers.layout import one_line
from rag_assets.parsers.properties import Properties, add, keywords

INFO = "info"
"""Destination of the group. It has no text of its own."""
INFO_TEXTS = {
    "subject": "subject",
    "author": "author",
    "operator": "last_modified_by",
    "manager": "manager",
    "company": "company",
    "category": "category",
    "keywords": "keywords",
    "doccomm": "description",
}
"""Control word of a text, and destination -> name of the property."""
INFO_TIMES = {"creatim": "created", "revtim": "modified"}
_PARTS = ("yr", "mo", "dy", "hr", "min", "sec")
_SMALLEST = (0, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Times:
    """Times of the `\\info` group, collected word by word."""

    _found: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    def take(self, destination: str, word: str, number: int | None) -> None:
        """Note a part of a time. The destination is the control word of the time."""
        if word in _PARTS and number is not None:
            self._found.setdefault(destination, {})[word] = number

    def properties(self) -> Properties:
        found: Properties = {}
        for word, parts in self._found.items():
            year, month, day, hour, minute, second = map(parts.get, _PARTS, _SMALLEST)
            found[INFO_TIMES[word]] = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        return found


def info_properties(pieces: Mapping[str, Sequence[str]], times: Times) -> Properties:
    """Return the properties.

    Args:
        pieces: destination -> its text in pieces.
    """
    found = times.properties()
    for word, name in INFO_TEXTS.items():
        text = one_line("".join(pieces[word])[:8_000])
        # A character beyond the first plane is written as a surrogate pair.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        add(found, name, keywords(text) if name == "keywords" else text)
    return found
