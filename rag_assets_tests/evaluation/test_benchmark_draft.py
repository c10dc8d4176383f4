"""Drafted questions distinguish their document from the others."""

from typing import Any

import pytest

from rag_assets.evaluation.benchmark_draft import draft_questions
from rag_assets_tests.documents import document, hashed


def drafted(*documents: tuple[str, str, str], limit: int = 60) -> list[dict[str, Any]]:
    states = [document(path, text, title=title) for path, title, text in documents]
    texts = {hashed(text): text for _, _, text in documents}
    return draft_questions(states, texts.get, limit)


def test_a_draft_asks_for_titles_and_headings_and_is_marked() -> None:
    lines = drafted(("a.md", "Parental leave", "# Parental leave\n\ntext\n\n## How long it lasts\n\ntext"))
    assert lines == [
        {"draft": True, "query": "Parental leave", "expected_docs": ["filesystem:a.md"]},
        {"draft": True, "query": "How long it lasts", "expected_docs": ["filesystem:a.md"]},
    ]


def test_a_draft_starts_with_one_question_per_document() -> None:
    text = "# The first heading\n\nx\n\n# The second heading of {0}\n\nx"
    lines = drafted(
        ("a.md", "Title of a", text.format("a")), ("b.md", "Title of b", text.format("b")), limit=3
    )
    assert [line["query"] for line in lines][:2] == ["Title of a", "Title of b"]
    assert len(lines) == 3


def test_the_first_line_is_the_question_for_a_document_without_title_or_heading() -> None:
    assert [line["query"] for line in drafted(("a.txt", "", "The first line.\nThe second."))] == [
        "The first line."
    ]


@pytest.mark.parametrize("text", ["", "\n \n", "short"])
def test_a_document_without_a_usable_question_is_left_out(text: str) -> None:
    assert drafted(("a.txt", "", text)) == []
    assert drafted() == []


def test_documents_may_give_different_numbers_of_questions() -> None:
    many = "# Heading one\n\nx\n\n# Heading two\n\nx\n\n# Heading three\n\nx"
    lines = drafted(("a.md", "", "# Only one heading\n\nx"), ("b.md", "", many))
    assert [line["query"] for line in lines] == [
        "Only one heading",
        "Heading one",
        "Heading two",
        "Heading three",
    ]


def test_a_question_has_at_least_eight_characters_and_a_long_first_line_is_cut() -> None:
    assert [line["query"] for line in drafted(("a.md", "12345678", "x"), ("b.md", "1234567", "x"))] == [
        "12345678"
    ]
    assert [len(line["query"]) for line in drafted(("a.txt", "", "word " * 100))] == [119]


def test_a_title_shared_by_two_documents_is_not_used() -> None:
    lines = drafted(("a.md", "Same title", "# Heading of a"), ("b.md", "Same title", "# Heading of b"))
    assert [line["query"] for line in lines] == ["Heading of a", "Heading of b"]


def queries(*documents: tuple[str, str, str], limit: int = 60) -> list[str]:
    return [line["query"] for line in drafted(*documents, limit=limit)]


def test_the_name_of_the_site_and_the_number_of_the_section_are_cut_off() -> None:
    assert queries(
        ("a.html", "4.2. Binary packages — The Manual v4", "text of a"),
        ("b.html", "Source packages — The Manual v4", "text of b"),
        ("c.html", "Chapter 3 Control files — The Manual v4", "text of c"),
    ) == ["Binary packages", "Source packages", "Control files"]


def test_a_number_within_a_title_stays() -> None:
    assert queries(("a.md", "2026 budget of all teams", "x"), ("b.md", "3D printing rules", "y")) == [
        "2026 budget of all teams",
        "3D printing rules",
    ]


def test_a_question_with_all_its_words_in_another_document_comes_last() -> None:
    documents = (
        ("a.md", "Parking permits", "# Parking permits\n\nx\n\n# Garage opening hours\n\nx"),
        ("b.md", "House rules", "# House rules\n\nSee the permits for parking, among others."),
    )
    assert queries(*documents) == ["Parking permits", "House rules", "Garage opening hours"]
    assert queries(*documents, limit=2) == ["House rules", "Garage opening hours"]


def test_two_copies_of_a_document_count_as_one() -> None:
    text = "# Parking permits\n\nx"
    assert queries(("a.md", "Parking permits", text), ("copy.md", "Parking permits", text)) == [
        "Parking permits"
    ]


def test_an_even_selection_of_many_documents_is_used() -> None:
    many = [(f"{n:03}.md", f"About subject{n}", f"text {n}") for n in range(200)]
    asked = {int(question.removeprefix("About subject")) for question in queries(*many, limit=20)}
    assert len(asked) == 20
    assert {number // 50 for number in asked} == {0, 1, 2, 3}


@pytest.mark.parametrize("title", ["======== 123 ========", "if (x) { y(); } // z", "-----------"])
def test_a_title_without_words_is_not_used(title: str) -> None:
    assert queries(("a.md", title, "# Parking permits\n\nx")) == ["Parking permits"]
