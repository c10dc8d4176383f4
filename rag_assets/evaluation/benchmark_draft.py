"""A draft benchmark from the documents themselves: titles and headings as questions.

A question must distinguish its document from the others, or the gate would measure the draft instead of the
retrieval. So parts common to many titles, such as the name of a site or a section number, are cut off. Questions whose
words all occur in other documents come last.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag_assets.fingerprint import short_hash
from rag_assets.records import DocumentState
from rag_assets.text.headings import headings

_MIN_CHARACTERS = 8
_MAX_CHARACTERS = 120
_MAX_QUESTIONS_A_DOCUMENT = 12
_POOL = 5
"""Candidates considered for each requested question."""
_TITLE_SEPARATOR = re.compile(r"\s+[—–|·»:-]+\s+")
_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|appendix)\s+\w+[.:]?|[A-Z]?\d{1,2}(?:\.\d+)*[.)]?)\s+(?=\S)", re.IGNORECASE
)
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class _Candidate:
    question: str
    owner: DocumentState
    words: frozenset[str]
    turn: int
    found_elsewhere: int = 0


def draft_questions(
    documents: Sequence[DocumentState], text_of: Callable[[str], str | None], limit: int
) -> list[dict[str, Any]]:
    """Return lines for a benchmark file, marked as draft: one question per document, then a second for each …

    Every text is read twice, one at a time. Of more documents than questions, an even selection is used.

    Args:
        text_of: returns the text of a content, or None if it is lost.
        limit: maximum number of questions.
    """
    contents = list(
        {state.content_hash: state for state in reversed(documents) if state.content_hash}.values()
    )
    contents.reverse()
    candidates = _pool(contents, text_of, limit * _POOL)
    for state, text in _with_texts(contents, text_of):
        words = _words(text)
        for candidate in candidates:
            if candidate.owner is not state and candidate.words <= words:
                candidate.found_elsewhere += 1
    # A hash decides between equals. Their order would prefer the first folders.
    best = sorted(candidates, key=lambda it: (it.found_elsewhere, it.turn, short_hash(it.question)))[:limit]
    chosen = {candidate.question for candidate in best}
    return [
        {"draft": True, "query": candidate.question, "expected_docs": [candidate.owner.document_id]}
        for candidate in candidates
        if candidate.question in chosen
    ]


def _pool(
    contents: Sequence[DocumentState], text_of: Callable[[str], str | None], size: int
) -> list[_Candidate]:
    """Return candidates, the first of each document first, without questions common to two documents."""
    shared = _shared_title_parts(contents)
    by_document: list[list[tuple[str, DocumentState]]] = []
    owners: dict[str, int] = Counter()
    for state, text in _with_texts(contents, text_of):
        questions = list(_questions(state.location.title, text, shared))
        owners.update(question.casefold() for question in questions)
        by_document.append([(question, state) for question in questions])
    by_document = [
        [(question, state) for question, state in questions if owners[question.casefold()] == 1]
        for questions in by_document
    ]
    by_document = [questions for questions in by_document if questions]
    if len(by_document) > size:
        by_document = [by_document[number * len(by_document) // size] for number in range(size)]
    turns = range(max(map(len, by_document), default=0))
    pool = [(*questions[turn], turn) for turn in turns for questions in by_document if turn < len(questions)]
    return [_Candidate(question, state, _words(question), turn) for question, state, turn in pool[:size]]


def _with_texts(
    contents: Sequence[DocumentState], text_of: Callable[[str], str | None]
) -> Iterator[tuple[DocumentState, str]]:
    for state in contents:
        yield state, text_of(state.content_hash or "") or ""


def _shared_title_parts(contents: Sequence[DocumentState]) -> set[str]:
    """Return the parts common to the titles of several documents: the name of the site, of the manual."""
    counts: dict[str, int] = defaultdict(int)
    for state in contents:
        for part in set(_TITLE_SEPARATOR.split(state.location.title)):
            counts[part.strip()] += 1
    return {part for part, count in counts.items() if count > 1}


def _questions(title: str, text: str, shared: set[str]) -> Iterator[str]:
    """Yield possible questions for a document: its title and headings, otherwise its first line."""
    parts = [part for part in _TITLE_SEPARATOR.split(title) if part.strip() not in shared]
    titles = [" – ".join(parts), *(heading.title for heading in headings(text))]
    if not any(titles):
        titles = [text.strip().partition("\n")[0]]
    cleaned = (_NUMBERING.sub("", " ".join(title.split()))[:_MAX_CHARACTERS].strip() for title in titles)
    usable = dict.fromkeys(question for question in cleaned if _is_wordy(question))
    yield from list(usable)[:_MAX_QUESTIONS_A_DOCUMENT]


def _is_wordy(question: str) -> bool:
    """Whether a question is long enough and consists mostly of words, unlike code or a line of dashes."""
    letters = sum(character.isalnum() or character.isspace() for character in question)
    return len(question) >= _MIN_CHARACTERS and letters >= 0.8 * len(question)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))
