"""What every parser offers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rag_assets.errors import DocumentUnreadable
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    import openai

_MOST_BILLED = 1_000_000_000
"""For one document; more is no number that anybody could be billed for."""


class Parser(Protocol):
    """Turns the bytes of one format into text.

    Runs in a process of its own, which has limits on time and memory and is killed when it exceeds them. Heavy
    packages are imported by `parse`, not with the module.

    Attributes:
        name: stable, recorded with each document.
        version: raised whenever the same bytes may give another text; documents are then parsed again.
        suffixes: lower-case file name endings that it answers for, with the dot.
    """

    name: str
    version: str
    suffixes: tuple[str, ...]

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        """Return text and title. The text need not be normalised.

        Raises:
            DocumentUnreadable: corrupt, encrypted, or not of this format.
        """
        ...


@runtime_checkable
class RecognisesContent(Protocol):
    """A parser of a format that can be told by its bytes, whatever the file is called."""

    def recognises(self, data: bytes) -> bool:
        """Return whether these bytes are of this format; cheap, and never raises."""
        ...


@runtime_checkable
class HoldsDocuments(Protocol):
    """A parser of a format whose documents hold documents of other formats, for which it asks their parsers."""

    holds_documents: bool


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


@runtime_checkable
class AsksModel(Parser, RecognisesContent, Protocol):
    """A parser of a format of which only a model can tell what it holds.

    The model is asked over the network by whoever has its key, in a thread of that process. No byte is decoded there,
    and nothing is asked where documents are parsed: `parse` refuses, and so such files are left out of archives and mails.

    Attributes:
        model_variable: names the model; empty means that nothing is asked.
        plural: what such documents are called.
        max_bytes: of one document, as the endpoint takes it.
    """

    model_variable: str
    plural: str
    max_bytes: int

    def ask(self, client: "openai.OpenAI", model: str, data: bytes) -> ModelAnswer:
        """Send a document to the model.

        Raises:
            DocumentUnreadable: it is not of this format; nothing was sent.
            OpenAIError: of the client.
            ValueError, LookupError, TypeError: the answer is none of this API.
        """
        ...


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
