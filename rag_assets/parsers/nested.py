"""Documents inside documents: members of archives, attachments of mails.

Here belong the limits that hold for all of them together, however they are nested, and how they become sections of one
text. A document among them that cannot be read costs itself alone, and is named at the end; more than the limits costs
the whole, for nobody could say what is missing.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
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


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def opened(data: bytes) -> Generator[Budget]:
    """Count a container as open, and yield what may be taken for what is in it.

    Raises:
        DocumentUnreadable: `too_large`: it is nested too deep.
    """
    outer = _budget.get()
    budget = outer or Budget(min(MAX_UNPACKED_BYTES, max(_ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(data))))
    if budget.depth == MAX_DEPTH:
        raise DocumentUnreadable("too_large", f"It is nested more than {MAX_DEPTH} levels deep.")
    budget.depth += 1
    before = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(before)
        budget.depth -= 1


def read_document(budget: Budget, data: bytes, name: str) -> ParsedDocument:
    """Return what the parser for it makes of a document that is in an open container."""
    from rag_assets.parsers import parse_document

    budget.take_document()
    parsed = parse_document(data, name)
    return ParsedDocument(text=parsed.text, title=parsed.title)


def sections(
    budget: Budget, documents: Iterable[tuple[str, bytes | DocumentUnreadable]], *, are_all: bool
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
            text = read_document(budget, content, name).text
        except LimitExceeded:
            raise
        except DocumentUnreadable as error:
            if error.reason != "empty":
                unread.append((shown, error))
            continue
        found.append(f"# {shown}\n\n{with_deeper_headings(text)}")
    if are_all and unread and not found:
        reason = unread[0][1].reason
        raise DocumentUnreadable(reason, f"None of the documents in it can be read; the first is {reason}.")
    if unread:
        lines = [f"{name} ({error.reason})" for name, error in unread[:_MAX_NAMED]]
        if len(unread) > _MAX_NAMED:
            lines.append(f"and {len(unread) - _MAX_NAMED} more")
        found.append("# Could not be read\n\n" + "\n".join(lines))
    return found
