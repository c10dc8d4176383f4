"""Formats for which a model is needed: recordings and pictures.

Here belongs the base of their parsers and the reading of a model's bill. `ingestion.media_models` asks the models.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentUnreadable
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    import openai

_MOST_BILLED = 1_000_000_000
"""Of seconds or tokens for one document. A higher figure is an error of the server."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The text of a document by a model, and the bill for it.

    Attributes:
        problem: why the text is unusable although it was paid for, None if it is usable.
        audio_seconds: billed, 0 where tokens are billed.
        input_tokens: billed, including `audio_tokens`.
    """

    text: str
    problem: DocumentUnreadable | None = None
    audio_seconds: float = 0.0
    input_tokens: int = 0
    audio_tokens: int = 0
    output_tokens: int = 0


class AsksModel(ABC):
    """A parser of a format for which a model is needed.

    The process that holds the key asks the model over the network, in a thread. It decodes no byte of the document.
    Where documents are parsed, nothing is asked: `parse` refuses, and so archives and mails leave such files out.

    Attributes:
        model_variable: setting with the model's name; nothing is asked if it is empty.
        singular, plural: nouns for such documents.
        formats: the names of the file formats, for a person.
        max_bytes: limit of the endpoint for one document.
        sample: a small valid document of this format. An endpoint without an answer to it is at fault.
    """

    name: str
    version: str
    suffixes: tuple[str, ...]
    model_variable: str
    singular: str
    plural: str
    formats: str
    max_bytes: int
    sample: bytes

    @abstractmethod
    def kind_of(self, data: bytes) -> str | None:
        """Return the file format by the first bytes, None if it is another one. Nothing is decoded."""

    @abstractmethod
    def ask(self, client: "openai.OpenAI", model: str, data: bytes) -> ModelAnswer:
        """Send a document to the model, without its name.

        Raises:
            DocumentUnreadable: the format is another one, and nothing was sent.
            OpenAIError: of the client.
            ValueError, LookupError, TypeError: the answer does not follow this API.
        """

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return self.kind_of(data) is not None

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        """Refuse: parsing has neither a key nor the network."""
        del data, filename
        raise DocumentUnreadable("not_text", f"It is a {self.singular}; only a model can read it.")

    def required_kind(self, data: bytes) -> str:
        """As `kind_of`.

        Raises:
            DocumentUnreadable: `corrupt`.
        """
        kind = self.kind_of(data)
        if kind is None:
            detail = f"It is not a {self.formats} {self.singular}, despite its name."
            raise DocumentUnreadable("corrupt", detail)
        return kind


def billed(usage: object, key: str) -> float:
    """Return a number in a response's `usage`, 0 if a compatible server omits it or sends an implausible one."""
    value = usage.get(key) if isinstance(usage, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MOST_BILLED else 0


def billed_tokens(usage: object, key: str) -> int:
    """As `billed`, for tokens."""
    value = billed(usage, key)
    return value if isinstance(value, int) else 0
