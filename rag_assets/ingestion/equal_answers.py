"""Answers too alike to be true: many different documents that became the same text, or the same page.

A login page, a maintenance page or the error of a macro arrives as a good answer under every address. One text in place
of most documents of a folder or source is an outage of these documents. Numbers, times, addresses and the name of the
document may differ.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from rag_assets.changes.vanished_parts import MOST_DELETED_AT_ONCE, num_by_folder
from rag_assets.ingestion.page_forms import forms_of
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
    edited together, and any number of documents may be equal from the beginning. The same is true of nearly equal texts.

    Args:
        served: documents of this source in production.
        current: path -> document read now.
        same_as: path -> path of the document with the same page. The former is no document of its own.
        text_of: returns the text of a content hash, or None if it was lost.
    """
    before = {state.location.path: state for state in served}
    comparison = _Comparison(source, before, current, text_of)
    known_twice = set(same_as.values())
    equal: dict[str, dict[str, str]] = defaultdict(dict)
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for path, earlier in before.items():
        own, content_hash = same_as.get(path, path), earlier.content_hash or ""
        state = current.get(own)
        if state is None or state.content_hash is None:
            if own in known_twice:
                equal[own][path] = content_hash  # a page without text
        elif state.content_hash != content_hash:
            equal[comparison.without_title(state)][path] = content_hash
            for form in comparison.forms(state):
                alike[form][path] = content_hash
    found: set[str] = set()
    for answer, paths in sorted(equal.items()):
        if outage := comparison.outage(
            paths,
            "the same page or text",
            lambda state, answer=answer: comparison.without_title(state) == answer,
        ):
            found |= outage.paths
            yield outage
    for form, paths in sorted(alike.items()):
        if not paths.keys() <= found and (outage := comparison.nearly_equal(paths, form)):
            found |= outage.paths
            yield outage


class _Comparison:
    """The documents of one source before and now.

    Args:
        before: path -> document in production.
        current, text_of: as in `equal_answers`.
    """

    def __init__(
        self,
        source: str,
        before: Mapping[str, DocumentState],
        current: Mapping[str, DocumentState],
        text_of: Callable[[str], str | None],
    ) -> None:
        self._source = source
        self._before = before
        self._current = current
        self._text_of = text_of

    @cached_property
    def _totals(self) -> Counter[str]:
        return num_by_folder(self._before)

    def outage(
        self, differed: Mapping[str, str], became: str, is_answer: Callable[[DocumentState], bool]
    ) -> Outage | None:
        """Return the outage of documents with one answer, if they are too many.

        Args:
            differed: path -> anything in which these documents differed before.
            became: a noun phrase for the answer.
            is_answer: returns whether a new document has this answer too.
        """
        num_before = len(set(differed.values()))
        if num_before < 2:
            return None
        equal = num_by_folder(differed)
        failed = [
            folder
            for folder, number in equal.items()
            if number >= _SHARE * self._totals[folder] and (number >= _FEWEST_OF_A_FOLDER or not folder)
        ]
        # More than may be deleted at once are an outage in any case.
        if not failed and num_before <= MOST_DELETED_AT_ONCE:
            return None
        place = min(failed, key=len, default="")
        new = {
            path
            for path, state in self._current.items()
            if path not in self._before and state.content_hash and is_answer(state)
        }
        return Outage(
            self._source,
            place or "the whole source",
            f"{equal[place]} of {counted(self._totals[place], 'document')} became {became}, as if a login or maintenance "
            "page were in their place",
            paths=frozenset(differed.keys() | new),
            withholds=True,
        )

    def nearly_equal(self, paths: Mapping[str, str], form: str) -> Outage | None:
        """Return the outage of documents with one form, if most of them had a form of their own before."""
        earlier = {path: self.forms(self._before[path]) or [content] for path, content in paths.items()}
        changed = {path: forms[0] for path, forms in earlier.items() if form not in forms}
        if 2 * len(set(changed.values())) < len(changed):
            return None
        return self.outage(changed, "almost the same page or text", lambda state: form in self.forms(state))

    def forms(self, state: DocumentState) -> list[str]:
        """See `forms_of`."""
        return forms_of(self._text_of(state.content_hash or "") or "", state.location)

    def without_title(self, state: DocumentState) -> str:
        """Return a hash of the text without its first heading: a wiki puts the title of each page there."""
        content_hash = state.content_hash or ""
        first, _, rest = (self._text_of(content_hash) or "").partition("\n")
        rest, title = rest.strip(), state.location.title
        return text_sha256(rest) if rest and title and first.lstrip("# ").strip() == title else content_hash
