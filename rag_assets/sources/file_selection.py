"""The choice of files in sources of files: patterns, known endings, and counts of the files left out."""

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import translate

from pydantic import Field

from rag_assets.parsers.registry import may_be_document
from rag_assets.sources.base import SourceOptions
from rag_assets.text.spellings import composed

EXCLUDED = "(excluded)"
LINK = "(link)"
OTHER = "(other)"
_ENDING = re.compile(r"\.[a-z0-9_+~-]{1,12}")


class FileOptions(SourceOptions):
    """Patterns of the files to read."""

    include: tuple[str, ...] = Field(
        (),
        description="Patterns of paths to read, such as `handbook/*`. `*` stands for any characters, `/` too. Empty: all.",
    )
    exclude: tuple[str, ...] = Field(
        (), description="Patterns of paths to leave out, such as `*/drafts/*` or `*.log`."
    )


class FileSelection:
    """Chooses the files of one source.

    Attributes:
        left_out: ending, or a word in parentheses -> number of files left out since the last `clear`. An excluded folder
            counts as one.
    """

    def __init__(self, options: FileOptions) -> None:
        self._include = _compiled(options.include)
        self._exclude = _compiled(options.exclude)
        self._exclude_below = _compiled(pattern for pattern in options.exclude if pattern.endswith("*"))
        self.left_out: Counter[str] = Counter()

    def clear(self) -> None:
        self.left_out.clear()

    def fits(self, path: str) -> bool:
        """Return whether a file is read, without counting it."""
        return self._is_chosen(path) and may_be_document(path)

    def takes(self, path: str) -> bool:
        """Return whether a file is read, and count it if not."""
        if self._is_chosen(path) and may_be_document(path):
            return True
        self.left_out[_ending(path) if self._is_chosen(path) else EXCLUDED] += 1
        return False

    def enters(self, folder: str) -> bool:
        """Return whether files below a folder may be read, and count the folder if not."""
        # A pattern that ends with `*` and fits the folder with its slash fits everything below.
        if self._exclude_below is None or not self._exclude_below.fullmatch(composed(f"{folder}/")):
            return True
        self.left_out[EXCLUDED] += 1
        return False

    def _is_chosen(self, path: str) -> bool:
        path = composed(path)
        if self._include is not None and not self._include.fullmatch(path):
            return False
        return self._exclude is None or not self._exclude.fullmatch(path)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    translated = [translate(composed(pattern)) for pattern in patterns]
    return re.compile("|".join(translated)) if translated else None


def _ending(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    ending = "." + name.rpartition(".")[2]
    return ending if _ENDING.fullmatch(ending) else OTHER
