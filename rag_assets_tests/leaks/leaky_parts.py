"""A file system of fsspec and a loader of LangChain whose errors and logs quote what they were given, as some do."""

import logging
from collections.abc import Iterator
from typing import Any

from fsspec import AbstractFileSystem, register_implementation
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

_logger = logging.getLogger(__name__)


class LeakyFileSystem(AbstractFileSystem):
    """Cannot log in, and says with what."""

    protocol = "leaky"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options = options

    def _fail(self) -> Any:
        _logger.warning("login failed with %s", self._options)
        raise PermissionError(f"login failed with {self._options}")

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        return self._fail()

    def info(self, path: str, **_: Any) -> Any:
        return self._fail()


class LeakyLoader(BaseLoader):
    """Cannot load, and says with what."""

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    def lazy_load(self) -> Iterator[Document]:
        _logger.warning("login failed with %s", self._arguments)
        raise RuntimeError(f"login failed with {self._arguments}") from ValueError(repr(self._arguments))


def register() -> None:
    register_implementation("leaky", LeakyFileSystem, clobber=True)
