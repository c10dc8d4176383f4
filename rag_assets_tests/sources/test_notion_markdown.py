from typing import Any

import pytest

from rag_assets.parsers import parse_document
from rag_assets.sources.notion_markdown import markdown_of_blocks, markdown_of_page, plain_text, title_of
from rag_assets_tests.sources.scenes.notion import Block, block, rich


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([block("paragraph", "One"), block("paragraph", ""), block("paragraph", "Two")], "One\n\nTwo"),
        (
            [block("heading_1", "A"), block("heading_2", "B"), block("heading_3", "C")],
            "## A\n\n### B\n\n#### C",
        ),
        ([block("heading_1", "A", [block("paragraph", "inside")], is_toggleable=True)], "## A\n\ninside"),
        ([block("paragraph", "# no heading")], "\\# no heading"),
        (
            [
                block("bulleted_list_item", "a", [block("bulleted_list_item", "b")]),
                block("bulleted_list_item", "c"),
            ],
            "- a\n  - b\n- c",
        ),
        (
            [
                block("numbered_list_item", "a", [block("numbered_list_item", "b")]),
                block("numbered_list_item", "c"),
                block("paragraph", "between"),
                block("numbered_list_item", "d"),
            ],
            "1. a\n   1. b\n2. c\n\nbetween\n\n1. d",
        ),
        (
            [block("to_do", "done", checked=True), block("to_do", "open", checked=False)],
            "- [x] done\n- [ ] open",
        ),
        ([block("quote", "a\nb", [block("paragraph", "c")])], "> a\n> b\n>\n> c"),
        ([block("callout", "Mind", icon={"type": "emoji", "emoji": "!"})], "> ! Mind"),
        ([block("callout", "Mind", icon=None)], "> Mind"),
        ([block("toggle", "More", [block("paragraph", "inside")])], "More\n\ninside"),
        ([block("code", "# x\n", language="python", caption=rich("It"))], "```python\n# x\n\n```\n\nIt"),
        ([block("code", "a\n```\nb", language="plain text")], "````\na\n```\nb\n````"),
        ([block("equation", expression="e=mc^2")], "$$\ne=mc^2\n$$"),
        (
            [
                block(
                    "column_list",
                    children=[block("column", children=[block("paragraph", t)]) for t in ("left", "right")],
                )
            ],
            "left\n\nright",
        ),
        ([block("synced_block", children=[block("paragraph", "same")])], "same"),
        (
            [block("bookmark", url="https://a.example/b", caption=rich("A page"))],
            "[A page](https://a.example/b)",
        ),
        ([block("embed", url="https://a.example/b", caption=[])], "https://a.example/b"),
        ([block("child_page", title="Another page")], "Another page"),
        ([block("child_database", title="A table")], "A table"),
        (
            [block("divider"), block("breadcrumb"), block("table_of_contents"), block("unsupported")],
            "",
        ),
        ([block("not_yet_invented", "words", [block("paragraph", "inside")])], "words\n\ninside"),
    ],
)
def test_a_block_reads_as_it_would_in_markdown(blocks: list[Block], expected: str) -> None:
    assert markdown_of_blocks(blocks) == expected


def row(*cells: str) -> Block:
    return block("table_row", cells=[rich(cell) for cell in cells])


def test_a_table_has_a_header_if_marked() -> None:
    rows = [row("Name", "Port"), row("a|b", "6333")]
    with_header = block("table", children=rows, table_width=2, has_column_header=True)
    without = block("table", children=rows, table_width=2, has_column_header=False)
    assert markdown_of_blocks([with_header]) == "| Name | Port |\n| --- | --- |\n| a\\|b | 6333 |"
    assert markdown_of_blocks([without]) == "| Name | Port |\n| a\\|b | 6333 |"


def test_links_code_and_equations_keep_their_marks() -> None:
    parts = [
        *rich("see "),
        *rich("here", href="https://a.example"),
        *rich(" and run "),
        *rich("make", annotations={"code": True, "bold": True}),
        {"type": "equation", "equation": {"expression": "x"}, "plain_text": "x", "href": None},
        *rich("@Ann", type="mention", href="https://www.notion.so/0123"),
        *rich("!", href="javascript:alert(1)"),
    ]
    assert (
        markdown_of_blocks([block("paragraph", rich_text=parts)])
        == "see [here](https://a.example) and run `make`$x$@Ann!"
    )
    assert plain_text(parts) == "see here and run makex@Ann!"


def test_the_signed_address_of_a_file_is_left_out() -> None:
    signed = {"type": "file", "file": {"url": "https://s3.example/x?X-Amz-Signature=secret"}}
    external = {"type": "external", "external": {"url": "https://a.example/plan.png"}}
    blocks = [
        block("file", name="plan.pdf", caption=[], **signed),
        block("image", caption=rich("The plan"), **signed),
        block("image", caption=rich("The plan"), **external),
    ]
    assert markdown_of_blocks(blocks) == "plan.pdf\n\nThe plan\n\n[The plan](https://a.example/plan.png)"


PROPERTIES: dict[str, tuple[Any, str]] = {
    "rich_text": (rich("some text"), "some text"),
    "number": (12.5, "12.5"),
    "checkbox": (False, "no"),
    "select": ({"name": "High"}, "High"),
    "status": ({"name": "In progress"}, "In progress"),
    "multi_select": ([{"name": "a"}, {"name": "b"}], "a, b"),
    "people": ([{"object": "user", "name": "Ann"}, {"object": "user", "id": "1"}], "Ann"),
    "files": ([{"name": "plan.pdf", "file": {"url": "https://s3.example/?secret"}}], "plan.pdf"),
    "date": ({"start": "2026-01-05", "end": "2026-01-07", "time_zone": None}, "2026-01-05 to 2026-01-07"),
    "url": ("https://a.example", "https://a.example"),
    "email": ("ann@a.example", "ann@a.example"),
    "phone_number": ("+1 23", "+1 23"),
    "formula": ({"type": "number", "number": 3}, "3"),
    "rollup": (
        {"type": "array", "array": [{"type": "number", "number": 1}, {"type": "title", "title": rich("T")}]},
        "1, T",
    ),
    "unique_id": ({"prefix": "ENG", "number": 7}, "ENG-7"),
    "created_time": ("2026-01-05T08:11:00.000Z", "2026-01-05T08:11:00.000Z"),
    "verification": ({"state": "verified"}, "verified"),
}


@pytest.mark.parametrize("kind", sorted(PROPERTIES))
def test_a_property_is_a_line(kind: str) -> None:
    value, expected = PROPERTIES[kind]
    page = markdown_of_page("T", {"Its name": {"type": kind, kind: value}}, [])
    assert page == f"# T\n\nIts name: {expected}\n"


@pytest.mark.parametrize("kind", [*sorted(PROPERTIES), "place", "button", "relation", "last_edited_time"])
def test_a_property_without_a_value_is_left_out(kind: str) -> None:
    value = {} if kind in ("button", "place") else None
    assert markdown_of_page("T", {"P": {"type": kind, kind: value}}, []) == "# T\n"


def test_the_order_of_properties_in_an_answer_changes_nothing() -> None:
    a, b = ({"type": "number", "number": number} for number in (1, 2))
    page = markdown_of_page("T", {"a": a, "b": b}, [])
    assert page == markdown_of_page("T", {"b": b, "a": a}, []) == "# T\n\na: 1\nb: 2\n"


def test_a_title_is_one_line() -> None:
    assert title_of({"P": {"type": "number"}, "Name": {"type": "title", "title": rich("a\n b")}}) == "a b"
    assert title_of({"Name": {"type": "title", "title": []}}) == title_of({}) == ""


def test_the_markdown_parser_finds_the_same_headings() -> None:
    page = markdown_of_page(
        "The title", {}, [block("heading_1", "Part"), block("paragraph", "#x\n# y"), block("divider")]
    )
    parsed = parse_document(page.encode(), "x.md")
    assert parsed.title == "The title"
    assert [line for line in parsed.text.split("\n") if line.startswith("#")] == [
        "# The title",
        "## Part",
        "#x",
    ]
