import pytest

from rag_assets.parsers import parse_document
from rag_assets.parsers.parsed_text import ParsedText


def _parse(source: str) -> ParsedText:
    return parse_document(source.encode(), "note.md")


def test_the_source_is_the_text() -> None:
    source = "# Travel\n\nSome *emphasis*, a [link](https://x.example), `code`.\n\n- one\n  - two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    parsed = _parse(source)
    assert parsed.text == source
    assert parsed.title == "Travel"
    assert parsed.parser_name == "markdown"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", ["---", "...", "---  "])
def test_front_matter_is_removed_and_gives_the_title(line_end: str, end: str) -> None:
    source = (
        f"---\ntitle: Travel policy\ntags: [a, b]\nlist:\n- x\n  - y\n# comment\n\n{end}\n# Heading\n\nText."
    )
    parsed = _parse(source.replace("\n", line_end))
    assert parsed.title == "Travel policy"
    assert parsed.text == "# Heading\n\nText."


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("title: Travel: the policy", "Travel: the policy"),
        ('title: "Travel: the policy"', "Travel: the policy"),
        ("title: 'Travel'  # draft", "Travel"),
        ("title: Travel # draft", "Travel"),
        ("title: C#", "C#"),
        ("title:Travel", "Heading"),
        ("title:", "Heading"),
        ('title: ""', "Heading"),
        ("title: >-\n  folded", "Heading"),
        ("subtitle: Travel", "Heading"),
        ("meta:\n  title: Travel", "Heading"),
    ],
)
def test_a_complex_title_line_falls_back_to_the_heading(line: str, title: str) -> None:
    assert _parse(f"---\nx: y\n{line}\n---\n\n# Heading\n\nText.").title == title


@pytest.mark.parametrize(
    "source",
    [
        "---\n\nA rule above, and prose: not YAML at all\nmore prose here\n\n---\n\nText.",
        "---\ntitle: never closed\n\nText.",
        "Text first.\n\n---\ntitle: late\n---",
        "----\ntitle: four dashes\n----\nText",
    ],
)
def test_text_like_front_matter_stays(source: str) -> None:
    assert "".join(_parse(source).text.replace("## ", "").split("---")[0:1]) == source.split("---")[0]
    for word in source.replace("-", " ").split():
        assert word in _parse(source).text


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("Intro.\n\n## Second level ##\n\n# First", "Second level"),
        ("```\n# comment\n```\n\n# Real", "Real"),
        ("~~~~\n```\n# comment\n~~~\n# still\n~~~~\n\n# Real", "Real"),
        ("```\n``` this does not end it\n# comment\n```\n\n# Real", "Real"),
        ("#hashtag\n\n# Real", "Real"),
        ("    # indented code\n\n# Real", "Real"),
        ("####### seven\n\n# Real", "Real"),
        ("No heading at all.", ""),
        ("Real\n====\n\n# Other", "Real"),
    ],
)
def test_without_front_matter_the_first_heading_is_the_title(source: str, title: str) -> None:
    assert _parse(source).title == title


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Travel\n======\n\nText", "# Travel\n\nText"),
        ("Travel\n------\nText", "## Travel\nText"),
        ("Intro\n\n  Travel  \n---\n\nText", "Intro\n\n## Travel\n\nText"),
        ("# One\nTwo\n---\nText", "# One\n## Two\nText"),
    ],
)
def test_underlined_headings_become_marked_headings(source: str, text: str) -> None:
    assert _parse(source).text == text


@pytest.mark.parametrize(
    "source",
    [
        "Text\n\n---\n\nText",
        "- item\n---\nText",
        "> quote\n---\nText",
        "| a |\n---\nText",
        "two lines of\na paragraph\n---\nText",
        "```\nTravel\n------\n```\nText",
        "Text\n\n    code\n---\nText",
        "a | b\n--|--\n1 | 2",
    ],
)
def test_rules_tables_and_code_are_not_taken_for_underlines(source: str) -> None:
    assert _parse(source).text == source
