"""The passage of a chunk for a question."""

import pytest

from rag_assets.cli.snippets import QuestionWords
from rag_assets.cli.terminal import Bold

FILLER = "Nothing of this is of any use to a reader. " * 12


def bold_in(question: str, line: str) -> list[str]:
    parts = list(QuestionWords(question).marked(line))
    assert "".join(parts) == line
    return [part for part in parts if isinstance(part, Bold)]


@pytest.mark.parametrize(
    ("question", "line", "marked"),
    [
        ("parental leave", "Leave for parents; the leaves.", ["Leave", "parents", "leaves"]),
        ("How many days of vacation?", "How many of the days of vacation", ["many", "days", "vacation"]),
        ("the and of", "the and of", []),
        ("cafe", "Ein Café", ["Café"]),
        ("休暇は何日", "有給休暇は二十日", ["休暇は"]),
        ("vpn", "vpn.example, VPN-Gateway", ["vpn", "VPN"]),
        ("nothing", "", []),
    ],
)
def test_words_are_marked_as_bm25_finds_them(question: str, line: str, marked: list[str]) -> None:
    assert bold_in(question, line) == marked


def test_the_passage_begins_with_the_sentence_of_the_answer() -> None:
    text = f"{FILLER}Vacation is thirty days. {FILLER}"
    snippet = QuestionWords("How many days of vacation?").snippet(text)
    assert snippet.startswith("… Vacation is thirty days. Nothing")
    assert snippet.endswith(" …")
    assert len(snippet) <= 304


def test_neighboring_words_count_more_than_scattered_ones() -> None:
    text = f"Take leave. A parent may. {FILLER}Parent leave is long. {FILLER}"
    assert QuestionWords("parent leave").snippet(text).startswith("… Parent leave is long.")


def test_a_short_chunk_is_shown_whole_without_heading_marks() -> None:
    text = "# Leave\n\n## Days\n\nThirty # days.\n"
    assert QuestionWords("days").snippet(text) == "Leave Days Thirty # days."
