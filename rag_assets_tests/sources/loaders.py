"""LangChain loaders for tests, imported by name as a declared loader is."""

import logging
from collections.abc import Iterator
from typing import Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

_LOGGER = logging.getLogger(__name__)


class ListLoader(BaseLoader):
    """Loads its arguments: lists of text and metadata. An exception in the place of a text is raised."""

    def __init__(self, documents: list[Any], **secrets: str) -> None:
        self._documents = documents

    def lazy_load(self) -> Iterator[Document]:
        for text, metadata in self._documents:
            if isinstance(text, BaseException):
                raise text
            yield Document(text, metadata=metadata)


class OldLoader(BaseLoader):
    """Has only `load`, as loaders had in former times."""

    def load(self) -> list[Document]:
        return [Document("text", metadata={"source": "old"})]


class ForgivingLoader(ListLoader):
    """Logs an exception in the place of a text, and goes on."""

    def __init__(self, documents: list[Any], silent_errors: bool = True) -> None:
        super().__init__(documents)
        self._silent_errors = silent_errors

    def lazy_load(self) -> Iterator[Document]:
        for text, metadata in self._documents:
            if isinstance(text, BaseException):
                _LOGGER.warning("Error loading %s", metadata["source"])
            else:
                yield Document(text, metadata=metadata)


class NoLoader:
    pass


not_a_class = ListLoader([])
