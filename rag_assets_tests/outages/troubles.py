"""The faults of the matrix, and those that are made in the same way for every source."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

from rag_assets_tests.sources.scenes import SCENES
from rag_assets_tests.sources.scenes.base import SourceScene

Fault = Literal[
    "down",
    "half a listing",
    "empty listing",
    "slow",
    "wrong login",
    "one item unreadable",
    "one item torn",
    "everything the same page",
]
ITEM = "c"
"""The document of the faults of one item."""
ITEM_FAULTS: tuple[Fault, ...] = ("one item unreadable", "one item torn")
_SAME_PAGE = "Please sign in to your account to continue."
IMPATIENCE_SECONDS = 0.2


class Troubles:
    """A source and the faults of its service.

    Attributes:
        texts: name -> text of the documents that exist now.
        half: names of the documents in the half of a listing that fails, or None if the listing ends there.
        needless: fault -> the reason for its absence in this kind of source.
    """

    kind: str
    half: frozenset[str] | None = None
    needless: dict[Fault, str] = {}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.scene: Any = self._scene(folder)
        self.texts: dict[str, str] = {}
        self.options: dict[str, Any] = {}

    def _scene(self, folder: Path) -> SourceScene:
        return SCENES[self.kind](folder)

    def declaration(self) -> dict[str, Any]:
        return {**self.scene.declaration(), **self.options}

    def put(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.scene.put(name, text)

    def remove(self, name: str) -> None:
        del self.texts[name]
        self.scene.remove(name)

    def name_of(self, path: str) -> str:
        """Return the name of the document with this path."""
        return Path(path.partition("?")[0]).stem

    def fault(self, fault: Fault) -> AbstractContextManager[None]:
        """Let the service fail in this way within the block."""
        faults: dict[Fault, Callable[[], AbstractContextManager[None]]] = {
            "down": lambda: self.scene.failing("refused"),
            "half a listing": lambda: self.scene.failing("torn listing"),
            "empty listing": self.empty,
            "slow": self.slow,
            "wrong login": self.wrong_login,
            "one item unreadable": self.unreadable,
            "one item torn": self.torn,
            "everything the same page": self.same_page,
        }
        return faults[fault]()

    @contextmanager
    def empty(self) -> Generator[None]:
        for name in self.texts:
            self.scene.remove(name)
        yield
        self._restore()

    @contextmanager
    def same_page(self) -> Generator[None]:
        for name in self.texts:
            self.scene.put(name, _SAME_PAGE)
        yield
        self._restore()

    def _restore(self) -> None:
        for name, text in self.texts.items():
            self.scene.put(name, text)

    @contextmanager
    def slow(self) -> Generator[None]:
        with self.declared(timeout_seconds=IMPATIENCE_SECONDS), self.scene.failing("hang"):
            yield

    @contextmanager
    def declared(self, **options: object) -> Generator[None]:
        """Declare the source with other options."""
        self.options = dict(options)
        yield
        self.options = {}

    def wrong_login(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def unreadable(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def torn(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def close(self) -> None:
        self.scene.close()
