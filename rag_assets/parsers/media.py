"""Formats that only a model can read: recordings and pictures.

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
"""For one document; more is no number that anybody could be billed for."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model says a document holds, and what it counts for saying so.

    Attributes:
        problem: why the text is of no use, although it was paid for; None if it is of use.
        audio_seconds: billed; 0 where tokens are.
        input_tokens: billed, those of audio included.
    """

    text: str
    problem: DocumentUnreadable | None = None
    audio_seconds: float = 0.0
    input_tokens: int = 0
    audio_tokens: int = 0
    output_tokens: int = 0


class AsksModel(ABC):
    """A parser of a format that only a model can read.

    The process that holds the key asks the model over the network, in a thread. It decodes no byte of the document.
    Where documents are parsed, nothing is asked: `parse` refuses, and so archives and mails leave such files out.

    Attributes:
        model_variable: setting with the model's name; nothing is asked if it is empty.
        singular, plural: nouns for such documents.
        formats: the names of the file formats, for a person.
        max_bytes: limit of the endpoint for one document.
    """

    name: str
    version: str
    suffixes: tuple[str, ...]
    model_variable: str
    singular: str
    plural: str
    formats: str
    max_bytes: int

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
        raise DocumentUnreadable("not_text", f"It is a {self.singular}: only a model can tell what it holds.")

    def required_kind(self, data: bytes) -> str:
        """As `kind_of`.

        Raises:
            DocumentUnreadable: `corrupt`.
        """
        kind = self.kind_of(data)
        if kind is None:
            detail = f"It is no {self.formats} {self.singular}, whatever its name says."
            raise DocumentUnreadable("corrupt", detail)
        return kind


def billed(usage: object, key: str) -> float:
    """Return a number of a response's `usage`; 0 where a compatible server does not tell, or nothing sensible."""
    value = usage.get(key) if isinstance(usage, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MOST_BILLED else 0


def billed_tokens(usage: object, key: str) -> int:
    """As `billed`, of tokens."""
    value = billed(usage, key)
    return value if isinstance(value, int) else 0
