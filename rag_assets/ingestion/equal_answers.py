"""Answers too alike to be true: many different documents that became the same text, or the same page.

A login page, a maintenance page or the error of a macro arrives as a good answer under every address. One text in place
of most documents of a folder or source is an outage of these documents.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from rag_assets.changes.vanished_parts import MOST_DELETED_AT_ONCE, num_by_folder
from rag_assets.records import DocumentState, Outage
from rag_assets.text.hashing import text_sha256
from rag_assets.text.wording import counted

_SHARE = 0.8
_FEWEST_OF_A_FOLDER = 3


def equal_answers(
    source: str,
    served: Iterable[DocumentState],
    current: Mapping[str, DocumentState],
    same_as: Mapping[str, str],
    text_of: Callable[[str], str | None],
) -> Iterator[Outage]:
    """Yield an outage for each text or page in place of too many documents.

    Only documents with another content in production count, and they must have differed from each other. So copies may be
    edited together, and any number of documents may be equal from the beginning.

    Args:
        served: documents of this source in production.
        current: path -> document read now.
        same_as: path -> path of the document with the same page. The former is no document of its own.
        text_of: returns the text of a content hash, or None if it was lost.
    """
    before = {state.location.path: state.content_hash for state in served}
    known_twice = set(same_as.values())
    groups: dict[str, set[str]] = defaultdict(set)
    for path, content_hash in before.items():
        own = same_as.get(path, path)
        state = current.get(own)
        if state is None or state.content_hash is None:
            if own in known_twice:
                groups[own].add(path)  # a page without text
        elif state.content_hash != content_hash:
            groups[_without_title(state, text_of)].add(path)
    suspects = {answer: paths for answer, paths in groups.items() if len(paths) > 1}
    totals = num_by_folder(before) if suspects else Counter[str]()
    for answer, paths in sorted(suspects.items()):
        num_contents = len({before[path] for path in paths})
        equal = num_by_folder(paths)
        failed = [
            folder
            for folder, number in equal.items()
            if number >= _SHARE * totals[folder] and (number >= _FEWEST_OF_A_FOLDER or not folder)
        ]
        # More than may be deleted at once are an outage in any case.
        if num_contents < 2 or not (failed or num_contents > MOST_DELETED_AT_ONCE):
            continue
        place = min(failed, key=len, default="")
        new = {
            path
            for path, state in current.items()
            if path not in before and state.content_hash and _without_title(state, text_of) == answer
        }
        yield Outage(
            source,
            place or "the whole source",
            f"{equal[place]} of {counted(totals[place], 'document')} became the same page or text, as if a "
            "login or maintenance page were in their place",
            paths=frozenset(paths | new),
            withholds=True,
        )


def _without_title(state: DocumentState, text_of: Callable[[str], str | None]) -> str:
    """Return a hash of the text without its first heading: a wiki puts the title of each page there."""
    content_hash = state.content_hash or ""
    first, _, rest = (text_of(content_hash) or "").partition("\n")
    rest, title = rest.strip(), state.location.title
    return text_sha256(rest) if rest and title and first.lstrip("# ").strip() == title else content_hash
