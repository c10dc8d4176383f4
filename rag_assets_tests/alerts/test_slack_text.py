import pytest

from rag_assets.alerts.slack_text import Message, code, link, quoted


def test_markup_in_a_foreign_text_is_escaped() -> None:
    assert quoted("<!channel> a & b <https://x|y>") == "&lt;!channel&gt; a &amp; b &lt;https://x|y&gt;"


@pytest.mark.parametrize("name", ["channel", "here", "everyone", "all", "HERE"])
def test_a_foreign_text_rings_for_no_one(name: str) -> None:
    assert f"@{name}" not in quoted(f"ask @{name} about it")
    assert quoted("ana@example.com").endswith("@example.com")


@pytest.mark.parametrize("length", range(40, 60))
def test_a_long_text_is_cut_between_characters(length: int) -> None:
    text = quoted("&<" * 100, length)
    assert len(text) <= length
    assert text.endswith(" …")
    assert text.removesuffix(" …").replace("&amp;", "").replace("&lt;", "") == ""


def test_a_name_with_backticks_stays_in_its_style() -> None:
    assert code("a`b\x1b") == "`a'b\\u001b`"


def test_every_block_keeps_the_limits_of_slack() -> None:
    message = Message("title", ["x" * 10_000] * 100, link("https://d/runs/1", "run"))
    payload = message.payload()
    assert len(payload["blocks"]) <= 50
    texts = [block["text"]["text"] for block in payload["blocks"] if block["type"] == "section"]
    assert max(map(len, texts)) <= 3000
    assert len(payload["text"]) < 4100
    assert payload["text"].endswith("<https://d/runs/1|run>"), "the links stay whole"


def test_slack_turns_no_name_in_a_block_into_a_mention() -> None:
    payload = Message("title", ["one"], "footer").payload()
    assert all(
        element["verbatim"]
        for block in payload["blocks"]
        for element in block.get("elements", [block.get("text")])
    )
