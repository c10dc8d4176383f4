"""The pages of prose as a set: every link leads somewhere, every page is linked, the first page is short."""

import re
from pathlib import Path

import pytest

from rag_assets_tests.plain_english import ROOT, pages
from rag_assets_tests.test_architecture import LAYERS

DOCS = ROOT / "docs"
MAX_README_LINES = 95
_CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


def text_of(page: Path) -> str:
    return _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    found = (link or source for link, source in _LINK.findall(text_of(page)))
    return [link for link in found if not link.startswith(("http:", "https:"))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_path_in_the_table_of_changes_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:rag_assets|rag_assets_tests|docs)/[^`\s]*)`", text))
    # `<name>.py` is the new file: its folder is there.
    paths = {name.partition("<")[0] for name in named}
    assert len(paths) > 15
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_the_table_of_rooms_has_every_name_of_every_layer() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| layer, lowest first | subject |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)/?`", row.split("|")[1])) for row in table.splitlines()]
    assert rows == [set(names) for names in LAYERS]


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_an_index_links_every_page_of_the_docs(index: str) -> None:
    page = ROOT / index
    linked = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
    expected = {path for path in DOCS.glob("*.md") if path != page}
    assert sorted(expected - linked) == []


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


def test_ci_finds_the_set_up_commands_on_the_first_page() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith("pip install -c constraints.txt")]
    assert len(commands) == 2
    assert commands[0] == "pip install -c constraints.txt -e . && rag-assets refresh"
    assert commands[1].startswith("pip install -c constraints.txt -e '.[dev]' && pytest")
