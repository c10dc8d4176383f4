"""Documents inside documents: members of archives, attachments of mails.

Here belong the limits for all of them together, at any depth of nesting, and their layout as sections of one text. An
unreadable document is left out and named at the end. A container beyond the limits is refused as a whole: its
missing part would be unknown.
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
"""Number of nested containers, such as an archive in an archive in a mail."""

_ALWAYS_ALLOWED_BYTES = 10 * 1024 * 1024
_MAX_NAMED = 100
_MAX_NAME_CHARACTERS = 200


class LimitExceeded(DocumentUnreadable):
    """A limit of the whole container is exceeded."""

    def __init__(self, detail: str) -> None:
        super().__init__("too_large", detail)


@dataclass
class Budget:
    """The remaining allowance of the outermost container, shared with everything inside."""

    unpacked_bytes: int
    documents: int = MAX_DOCUMENTS
    depth: int = 0

    def take_bytes(self, num_bytes: int) -> None:
        """Count unpacked bytes, in advance if their number is known."""
        self.unpacked_bytes -= num_bytes
        if self.unpacked_bytes < 0:
            limits = f"{MAX_UNPACKED_BYTES >> 20} MiB, or {MAX_RATIO:,} times its size"
            raise LimitExceeded(f"It unpacks to more than {limits}. Split it.")

    def take_document(self) -> None:
        """Count a document before it is read."""
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
    """The documents inside one container, as its parser sees them.

    Attributes:
        may_be_part: whether a file of this name is read at all.
        parse: bytes and name of a document -> text and title, by the parser of its format.
    """

    budget: Budget
    may_be_part: Callable[[str], bool]
    parse: Callable[[bytes, str], ParsedDocument]

    def read(self, data: bytes, name: str) -> ParsedDocument:
        """Return text and title of a document in the container.

        Raises:
            DocumentUnreadable: the document is unreadable.
            LimitExceeded: the whole container exceeds a limit.
        """
        self.budget.take_document()
        return self.parse(data, name)

    def sections(
        self, documents: Iterable[tuple[str, bytes | DocumentUnreadable]], *, are_all: bool
    ) -> list[str]:
        """Return a section for each document, headed by its name, and a last one with the unreadable names.

        Args:
            documents: name, and bytes or the reason for their absence.
            are_all: there is no other text, so at least one document has to be readable.

        Raises:
            DocumentUnreadable: no document is readable, and there is no other text.
            LimitExceeded: the whole container exceeds a limit.
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
