"""The boundary between documents that became equal by an outage, and those that may."""

from collections.abc import Mapping

import pytest

from rag_assets.ingestion.equal_answers import equal_answers
from rag_assets_tests.documents import document

MANY = {f"p{number:02}": str(number) for number in range(100)}


def outages(
    before: Mapping[str, str], now: Mapping[str, str], same_as: Mapping[str, str] | None = None
) -> list[tuple[str, frozenset[str]]]:
    """Return place and paths. Documents missing in `now` are unchanged, those with "" are not read."""
    current = {path: document(path, text) for path, text in {**before, **now}.items() if text}
    served = [document(path, text) for path, text in before.items()]
    found = equal_answers("filesystem", served, current, same_as or {}, lambda _: None)
    return [(outage.place, outage.paths) for outage in found]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"a": "1", "b": "2"}, {"a": "x", "b": "x"}),
        ({"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}, dict.fromkeys("abcd", "x")),
        ({"a": "1", "b": "2"}, {"a": "x", "b": "x", "new": "x"}),
    ],
)
def test_one_text_for_four_fifths_of_a_source_is_an_outage(
    before: dict[str, str], now: dict[str, str]
) -> None:
    assert outages(before, now) == [("the whole source", frozenset(now))]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"a": "1"}, {"a": "x"}),
        ({"a": "1", "b": "1"}, {"a": "x", "b": "x"}),
        ({"a": "x", "b": "x"}, {}),
        ({"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}, dict.fromkeys("abc", "x")),
        ({**MANY, "hr/a": "1", "hr/b": "2"}, {"hr/a": "x", "hr/b": "x"}),
        (MANY, dict.fromkeys(list(MANY)[:10], "x")),
    ],
)
def test_fewer_documents_and_copies_may_become_equal(before: dict[str, str], now: dict[str, str]) -> None:
    assert outages(before, now) == []


def test_a_folder_or_more_than_ten_documents_of_a_large_source_are_an_outage() -> None:
    folder = {"hr/a": "1", "hr/b": "2", "hr/c": "3"}
    equal = dict.fromkeys(folder, "x")
    assert outages({**MANY, **folder}, equal) == [("hr/", frozenset(folder))]
    equal = dict.fromkeys(list(MANY)[:11], "x")
    assert outages(MANY, equal) == [("the whole source", frozenset(equal))]


def test_pages_that_lead_to_one_page_are_equal_even_without_a_text() -> None:
    before = {"a": "1", "b": "2", "c": "3"}
    same_as = {"b": "a", "c": "a"}
    for text in ("x", ""):
        assert outages(before, {"a": text, "b": "", "c": ""}, same_as) == [
            ("the whole source", frozenset(before))
        ]
