import time

from rag_assets.text.headings import MAX_TITLE_CHARACTERS, heading_path_at, headings


def seen(text: str) -> list[tuple[int, int, str]]:
    return [(heading.start, heading.level, heading.title) for heading in headings(text)]


def test_headings_of_all_six_levels_are_found():
    text = "\n".join("#" * level + f" Level {level}" for level in range(1, 7))
    assert [(level, title) for _, level, title in seen(text)] == [(n, f"Level {n}") for n in range(1, 7)]
    for start, level, title in seen(text):
        assert text[start:].startswith("#" * level + " " + title)


def test_lines_like_headings_are_not_headings():
    text = "#hashtag\n####### seven\n    # indented code\ntext # not at the start\n#\n# \n## ##\n\\# escaped"
    assert seen(text) == []


def test_closing_marks_are_cut_but_a_title_may_end_with_one():
    assert [title for *_, title in seen("# Title ##\n# C#\n#\tTabbed\t#\n   ### Three  ")] == [
        "Title",
        "C#",
        "Tabbed",
        "Three",
    ]


def test_headings_inside_fenced_code_do_not_count():
    text = "# A\n```python\n# comment\n``\n```\n## B\n~~~\n# no\n```\n# no\n~~~~\n### C\n````\n```\n# no\n````\n# D"
    assert [title for *_, title in seen(text)] == ["A", "B", "C", "D"]


def test_a_fence_with_a_language_does_not_close_a_fence():
    assert [title for *_, title in seen("```\n``` python\n# no\n```  \n# A")] == ["A"]


def test_an_unclosed_fence_runs_to_the_end():
    assert [title for *_, title in seen("# A\n```\n# no\n## no")] == ["A"]


def test_inline_code_of_three_backticks_opens_no_fence():
    assert [title for *_, title in seen("```inline```\n# A")] == ["A"]


def test_the_path_names_the_headings_above_an_offset_outermost_first():
    text = "intro\n# A\na\n### A.x\nax\n## A.2\na2\n# B\nb"
    found = headings(text)
    assert heading_path_at(found, 0) == ()
    assert heading_path_at(found, text.index("\na\n")) == ("A",)
    assert heading_path_at(found, text.index("ax")) == ("A", "A.x")
    assert heading_path_at(found, text.index("a2")) == ("A", "A.2")
    assert heading_path_at(found, len(text)) == ("B",)


def test_a_heading_that_starts_at_the_offset_is_in_the_path():
    text = "# A\n\n## B\n"
    found = headings(text)
    assert heading_path_at(found, text.index("## B")) == ("A", "B")
    assert heading_path_at(found, text.index("## B") - 1) == ("A",)


def test_an_endless_heading_does_not_swell_the_payload():
    assert len(headings("# " + "x" * 100_000)[0].title) == MAX_TITLE_CHARACTERS


def test_hostile_texts_take_linear_time():
    for text in ("#" * 300_000, "# " + " #" * 150_000, "```" * 100_000, " " * 300_000, "# a\n" * 75_000):
        began = time.process_time()
        headings(text)
        assert time.process_time() - began < 2
