"""Damaged copies of a document: cut off, changed, mixed up, in the same way each time."""

import random
from collections.abc import Iterator

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document


def damaged(data: bytes, num_copies: int = 150) -> Iterator[bytes]:
    chance = random.Random(len(data))
    for number in range(num_copies):
        copy = bytearray(data)
        match number % 3:
            case 0:
                del copy[chance.randrange(len(copy)) :]
            case 1:
                for _ in range(chance.randrange(1, 12)):
                    copy[chance.randrange(len(copy))] = chance.randrange(256)
            case _:
                begin, end, to = sorted(chance.randrange(len(copy)) for _ in range(3))
                copy[end:to] = copy[begin:end]
        yield bytes(copy)


def outcomes_of_damage(data: bytes, filename: str) -> set[str]:
    """Return the outcomes: reasons, and `text`. Any error but the promised one goes through."""
    outcomes: set[str] = set()
    for copy in damaged(data):
        try:
            assert parse_document(copy, filename).text
            outcomes.add("text")
        except DocumentUnreadable as error:
            outcomes.add(error.reason)
    return outcomes
