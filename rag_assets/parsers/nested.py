"""Documents inside documents: members of archives, attachments of mails.

Here belong the limits that hold for all of them together, however they are nested, and how they become sections of one
text. A document among them that cannot be read costs itself alone, and is named at the end; more than the limits costs
the whole, for nobody could say what is missing.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import one_line, with_deeper_headings
from rag_assets.records import ParsedDocument

MAX_UNPACKED_BYTES = 200 * 1024 * 1024
MAX_RATIO = 1_000
MAX_DOCUMENTS = 1_000
MAX_DEPTH = 3
"""Of containers in one another, such as an archive in an archive in a mail."""

_ALWAYS_ALLOWED_BYTES = 10 * 1024 * 1024
_MAX_NAMED = 100
_MAX_NAME_CHARACTERS = 200


class LimitExceeded(DocumentUnreadable):
    """More than the limits of a whole container."""

    def __init__(self, detail: str) -> None:
        super().__init__("too_large", detail)


@dataclass
class Budget:
    """What the outermost document and all that is in it may still take."""

    unpacked_bytes: int
    documents: int = MAX_DOCUMENTS
    depth: int = 0

    def take_bytes(self, num_bytes: int) -> None:
        """Count what is unpacked, before it is where that can be known."""
        self.unpacked_bytes -= num_bytes
        if self.unpacked_bytes < 0:
            limits = f"{MAX_UNPACKED_BYTES >> 20} MiB, or {MAX_RATIO:,} times its size"
            raise LimitExceeded(f"It unpacks to more than {limits}. Split it.")

    def take_document(self) -> None:
        """Count a document that is to be read."""
        self.documents -= 1
        if self.documents < 0:
            raise LimitExceeded(f"It holds more than {MAX_DOCUMENTS:,} documents. Split it.")


@contextmanager
def opened(data: bytes, outer: Budget | None) -> Generator[Budget]:
    """Count a container as open, and yield the budget for its documents.

    Args:
        outer: budget of the container around this one. The outermost container gets a new budget.

    Raises:
        DocumentUnreadable: `too_large`: it is nested too deep.
    """
    budget = outer or Budget(min(MAX_UNPACKED_BYTES, max(_ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(data))))
    if budget.depth == MAX_DEPTH:
        raise DocumentUnreadable("too_large", f"It is nested more than {MAX_DEPTH} levels deep.")
    budget.depth += 1
    try:
        yield budget
    finally:
        budget.depth -= 1


@dataclass(frozen=True, slots=True)
class Parts:
    """The means of a container's parser to read the documents inside.

    Attributes:
        may_be_part: whether a file of this name is read at all.
        parse: bytes and name of a document inside -> text and title, by the parser for it.
    """

    budget: Budget
    may_be_part: Callable[[str], bool]
    parse: Callable[[bytes, str], ParsedDocument]

    def read(self, data: bytes, name: str) -> ParsedDocument:
        """Return text and title of a document in the container.

        Raises:
            DocumentUnreadable: also `LimitExceeded`, which concerns the whole container.
        """
        self.budget.take_document()
        return self.parse(data, name)

    def sections(
        self, documents: Iterable[tuple[str, bytes | DocumentUnreadable]], *, are_all: bool
    ) -> list[str]:
        """Return a section for each document, headed by its name, and last one with the names of those without text.

        Args:
            documents: name, and bytes or why there are none.
            are_all: there is no other text, so that one of them has to be readable.

        Raises:
            DocumentUnreadable: all of them are unreadable, and that is all there is; or a limit of the whole is exceeded.
        """
        found: list[str] = []
        unread: list[tuple[str, DocumentUnreadable]] = []
        for name, content in documents:
            shown = one_line(name)[-_MAX_NAME_CHARACTERS:]
            try:
                if isinstance(content, DocumentUnreadable):
                    raise content
                text = self.read(content, name).text
            except LimitExceeded:
                raise
            except DocumentUnreadable as error:
                if error.reason != "empty":
                    unread.append((shown, error))
                continue
            found.append(f"# {shown}\n\n{with_deeper_headings(text)}")
        if are_all and unread and not found:
            reason = unread[0][1].reason
            raise DocumentUnreadable(
                reason, f"None of the documents in it can be read; the first is {reason}."
            )
        if unread:
            lines = [f"{name} ({error.reason})" for name, error in unread[:_MAX_NAMED]]
            if len(unread) > _MAX_NAMED:
                lines.append(f"and {len(unread) - _MAX_NAMED} more")
            found.append("# Could not be read\n\n" + "\n".join(lines))
        return found
