"""A name is taken out where it stands alone, and longer names stay."""

import pytest

from rag_assets.text.forgotten_names import FORGOTTEN, forgetting, forgotten_in


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot parse one:hr/a.md: not a PDF", "cannot parse X: not a PDF"),
        ("hr/a.md, two:hr/a.md and archive/hr/a.md", "X, two:hr/a.md and archive/hr/a.md"),
        ("hr/a.md.bak, hr/a.md-2, xhr/a.md, hr/a.mdx", "hr/a.md.bak, hr/a.md-2, xhr/a.md, hr/a.mdx"),
        ("It is 'hr/a.md'. (one:hr/a.md)", "It is 'X'. (X)"),
        ("ends with hr/a.md.", "ends with X."),
        ("file:///docs/hr/a.md#3", "X#3"),
        ("", ""),
    ],
)
def test_only_the_name_itself_is_replaced(text: str, left: str) -> None:
    forget = forgetting({"one:hr/a.md", "hr/a.md", "file:///docs/hr/a.md"})
    assert forget(text) == left.replace("X", FORGOTTEN)


def test_a_short_name_leaves_words_alone() -> None:
    assert forgetting({"a", "one:a"})("a parse of one:a failed at data") == (
        f"{FORGOTTEN} parse of {FORGOTTEN} failed at data"
    )


def test_no_name_changes_nothing() -> None:
    assert forgetting({""})("a text") == "a text"


def test_all_texts_of_a_structure_are_changed() -> None:
    forget = forgetting({"one:a.md"})
    assert forgotten_in({"one:a.md": ["one:a.md", {"x": "one:b.md"}, 3, None]}, forget) == {
        FORGOTTEN: [FORGOTTEN, {"x": "one:b.md"}, 3, None]
    }
