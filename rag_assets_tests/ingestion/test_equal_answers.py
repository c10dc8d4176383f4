"""The boundary between documents that became equal by an outage, and those that may."""

from collections.abc import Mapping

import pytest

from rag_assets.ingestion.equal_answers import equal_answers
from rag_assets_tests.documents import document, hashed

MANY = {f"p{number:02}": str(number) for number in range(100)}


def outages(
    before: Mapping[str, str], now: Mapping[str, str], same_as: Mapping[str, str] | None = None
) -> list[tuple[str, frozenset[str]]]:
    """Return place and paths. Documents missing in `now` are unchanged, those with "" are not read."""
    current = {path: document(path, text) for path, text in {**before, **now}.items() if text}
    served = [document(path, text) for path, text in before.items()]
    texts = {hashed(text): text for text in (*before.values(), *now.values())}
    found = equal_answers("filesystem", served, current, same_as or {}, texts.get)
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


PAGES = {
    "hr/leave.md": "Everyone has thirty days of leave, and takes them within the year.",
    "hr/pay.md": "Wages arrive on the last working day of each month.",
    "hr/pets.md": "Dogs may come along if the whole room agrees.",
}


def walls(how: str) -> dict[str, str]:
    """Return a page of the same site in place of each page, with small differences."""
    words = {
        "a request id": "request 8f14e45f{number}",
        "a time": "at 10:15:{number} on 2026-11-30",
        "the path": "for /{path}",
        "the address": "for https://wiki.example.com/{path}?id={number}",
        "the name": "for {stem}",
    }[how]
    return {
        path: f"The service is not available at the moment {words}. Please try again later.".replace(
            "{number}", str(10 + number)
        )
        .replace("{path}", path)
        .replace("{stem}", path[3:-3])
        for number, path in enumerate(PAGES)
    }


@pytest.mark.parametrize("how", ["a request id", "a time", "the path", "the address", "the name"])
def test_pages_that_differ_in_small_things_are_the_same_page(how: str) -> None:
    assert outages(PAGES, walls(how)) == [("the whole source", frozenset(PAGES))]
    assert outages({**MANY, **PAGES}, walls(how)) == [("hr/", frozenset(PAGES))]
    more = walls(how) | {"hr/new.md": walls(how)["hr/pay.md"].replace("pay", "new")}
    assert outages(PAGES, more) == [("the whole source", frozenset(more))]


def test_a_maintenance_page_in_a_script_without_spaces() -> None:
    now = {path: f"系统正在维护中，请稍后再试。请求编号 {number}f3a" for number, path in enumerate(PAGES)}
    assert outages(PAGES, now) == [("the whole source", frozenset(PAGES))]


def test_a_page_named_like_a_word_of_the_maintenance_page_is_in_its_place_too() -> None:
    before = PAGES | {"hr/service.md": "Cars are washed every other Friday."}
    now = dict.fromkeys(before, "")
    for number, path in enumerate(before):
        now[path] = (
            f"The service is not available at the moment, request {number}f3a. Please try again later."
        )
    assert outages(before, now) == [("the whole source", frozenset(before))]


def test_one_outage_for_equal_and_nearly_equal_pages() -> None:
    now = walls("a time")
    first, second, *_ = now
    now[second] = now[first]
    assert outages(PAGES, now) == [("the whole source", frozenset(PAGES))]


SIMILAR = {
    f"row{number}": f"The price of article {number} is {number}.50 euros at this time."
    for number in range(20)
}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        # Rows with numbers were alike before.
        (SIMILAR, {path: text.replace(".50", ".75") for path, text in SIMILAR.items()}),
        # One more row like the others is no outage of them.
        (
            {**SIMILAR, "row99": "A text of its own."},
            {path: text.replace(".50", ".75") for path, text in SIMILAR.items()}
            | {"row99": "The price of article 99 is 9.75 euros at this time."},
        ),
        # Rows of one form get another form.
        (SIMILAR, {path: text.replace("price", "cost") for path, text in SIMILAR.items()}),
        # Pages of one form with other words.
        (PAGES, {path: f"The desk for {path[3:5]}zz is open on all days, ask there." for path in PAGES}),
        # Almost nothing but numbers.
        (PAGES, {path: f"{number} 17 4711 total 99" for number, path in enumerate(PAGES)}),
        # A long text is no maintenance page.
        (PAGES, {path: f"Edition {number}. " + "A long text. " * 3000 for number, path in enumerate(PAGES)}),
    ],
)
def test_true_pages_that_are_alike_are_no_outage(before: dict[str, str], now: dict[str, str]) -> None:
    assert outages(before, now) == []
