"""The matrix of sources and faults: refreshes of a real knowledge base while one source fails.

    python -m rag_assets_tests.outages.matrix    # writes the tables into docs/sources.md

Beside the source is a folder with an edited and a removed document. Before each fault, documents of the source are
edited, removed and added as well. A test compares the page with what the refreshes did and said.
"""

import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from unittest import mock

import yaml

from rag_assets.ingestion import reading
from rag_assets.inspection.status import describe, status
from rag_assets_tests.histories.world import Outcome, World
from rag_assets_tests.outages.file_troubles import FilesystemTroubles, FsspecTroubles, LangchainTroubles
from rag_assets_tests.outages.service_troubles import (
    ConfluenceTroubles,
    NotionTroubles,
    PostgresTroubles,
    S3Troubles,
    UrlsTroubles,
)
from rag_assets_tests.outages.troubles import ITEM, ITEM_FAULTS, Fault, Troubles

FAULTS: tuple[Fault, ...] = get_args(Fault)
TROUBLES: dict[str, type[Troubles]] = {
    troubles.kind: troubles
    for troubles in (
        FilesystemTroubles,
        S3Troubles,
        UrlsTroubles,
        PostgresTroubles,
        ConfluenceTroubles,
        NotionTroubles,
        FsspecTroubles,
        LangchainTroubles,
    )
}
PAGE = Path(__file__).parents[2] / "docs" / "sources.md"
BESIDE = "one"
"""The folder beside the source, from `World`."""


@dataclass(frozen=True)
class Cell:
    """What one fault of one source does.

    Attributes:
        refreshed: what is refreshed all the same.
        says: lines of `status` about it, without ports, tokens, dates and paths of tests.
    """

    refreshed: str
    says: tuple[str, ...]


class Rehearsal:
    """A knowledge base of one source with five documents, and the folder beside it."""

    def __init__(self, kind: str, home: Path) -> None:
        self.world = World(home)
        folder = home / "service"
        folder.mkdir()
        self.troubles = TROUBLES[kind](folder)
        for name in "abcde":
            self.troubles.put(name, text_of(name))
        for name in ("edited", "removed"):
            self.world.write(BESIDE, f"{name}.md", text_of(name))
        self.refresh()

    def change(self, fault: Fault) -> None:
        """Edit, remove and add documents everywhere."""
        self.troubles.put("b", text_of("b", 2))
        if fault in ITEM_FAULTS:
            self.troubles.put(ITEM, text_of(ITEM, 2))
        self.troubles.remove("d")
        self.troubles.put("f", text_of("f"))
        self.world.write(BESIDE, "edited.md", text_of("edited", 2))
        self.world.remove(BESIDE, "removed.md")

    def refresh(self) -> Outcome:
        kind = self.troubles.kind
        beside = {"kind": "filesystem", "folder": str(self.world.home / BESIDE)}
        declared = {"sources": {BESIDE: beside, kind: self.troubles.declaration()}}
        self.world.settings["sources_file"].write_text(yaml.safe_dump(declared))
        return self.world.refresh().checked()

    def served(self, source: str) -> dict[str, str]:
        """Return name -> text of the documents of a source in production."""
        with self.world.knowledge_base() as knowledge_base:
            return {
                self.troubles.name_of(path) if source == self.troubles.kind else path: " ".join(
                    str(knowledge_base.text_store.get(str(state.content_hash))).split()
                )
                for state in knowledge_base.served_documents().values()
                if state.location.source == source
                for path in (state.location.path,)
            }

    def says(self) -> tuple[str, ...]:
        """Return the lines of `status` about documents that were not refreshed."""
        with self.world.knowledge_base() as knowledge_base:
            shown = describe(status(knowledge_base))
        lines = shown.partition("\nlast refresh")[2].splitlines()[1:]
        return tuple(self._plain(line) for line in lines if not line.startswith((" ", "metadata", "outcome")))

    def _plain(self, line: str) -> str:
        for pattern, instead in (
            (re.escape(str(self.world.home / "service")), "/srv"),
            (r"127\.0\.0\.\d+:\d+", "example.com"),
            (r"127\.0\.0\.\d+(\", port )\d+", r"example.com\g<1>5432"),
            (r"127\.0\.0\.\d+", "example.com"),
            (r"\b[0-9a-f]{16}\b", "TOKEN"),
            (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "PAGE"),
            (r"documents-\d+", "BUCKET"),
            (r"troubled://", "sftp://example.com"),
            (r"\b(0\.2|2) s\b", "N s"),
            (r"scene_[0-9a-f]+", "USER"),
            (r"rag_assets_tests\.[a-z_.]+\.", ""),
            (r" {2,}", " "),
        ):
            line = re.sub(pattern, instead, line)
        return line


@contextmanager
def rehearsed(kind: str, home: Path) -> Generator[Rehearsal]:
    with mock.patch.object(reading, "sleep"):
        rehearsal = Rehearsal(kind, home)
        try:
            yield rehearsal
        finally:
            rehearsal.troubles.close()


def text_of(name: str, edition: int = 1) -> str:
    return f"Edition {edition} of document {name * 4} with a word of its own {name * 7}{edition}."


def cell_of(kind: str, fault: Fault, home: Path) -> Cell:
    """Refresh twice during a fault, and once after it.

    Raises:
        AssertionError: something was deleted or not refreshed, or the fault is kept quiet.
    """
    if fault in TROUBLES[kind].needless:
        return Cell(f"does not apply: {TROUBLES[kind].needless[fault]}", ())
    with rehearsed(kind, home) as rehearsal:
        troubles = rehearsal.troubles
        before = rehearsal.served(kind)
        rehearsal.change(fault)
        with troubles.fault(fault):
            rehearsal.refresh()
            says = rehearsal.says()
            during = rehearsal.served(kind)
            refreshed = _check(troubles, fault, before, during)
            rehearsal.refresh()
            assert rehearsal.served(kind) == during, f"{kind}, {fault}: the second refresh changed something"
            assert rehearsal.served(BESIDE).keys() == {"anchor.md", "edited.md"}
            assert "Edition 2" in rehearsal.served(BESIDE)["edited.md"]
        assert any(kind in line for line in says), f"nobody hears of it: {says}"
        rehearsal.refresh()
        _same(rehearsal.served(kind), troubles.texts)
        says_after = rehearsal.says()
        assert says_after == (), f"the fault is over: {says_after}"
        return Cell(refreshed, says)


def _check(troubles: Troubles, fault: Fault, before: Mapping[str, str], during: Mapping[str, str]) -> str:
    """Return in words what was refreshed during a fault."""
    now = troubles.texts
    stale = {name for name in before if name not in now and name in during}
    stale |= {name for name in now if not _fits(during.get(name, ""), now[name])}
    for name in stale:
        assert during.get(name) == before.get(name), f"{name} is neither as before nor as now"
    lost = before.keys() - during.keys()
    if fault in ITEM_FAULTS and stale == {ITEM}:
        return "everything else"
    if fault == "everything the same page":
        assert lost <= {"d"}
        return "everything else" if lost else "other sources"
    if stale >= {"b", "d", "f"}:
        assert not lost
        return "other sources"
    if fault == "half a listing" and troubles.half is not None:
        assert stale <= troubles.half, f"{stale} belongs to the other half"
        return "everything else"
    assert not lost
    return "what was listed until then, other sources"


def _same(served: Mapping[str, str], texts: Mapping[str, str]) -> None:
    assert served.keys() == texts.keys()
    assert all(_fits(served[name], texts[name]) for name in texts)


def _fits(served: str, text: str) -> bool:
    return text in served


def table(kind: str, cells: Mapping[Fault, Cell]) -> str:
    head = [f"| {kind} | refreshed | `status` shows |", "|---|---|---|"]
    return "\n".join([*head, *(row(fault, cells[fault]) for fault in FAULTS)])


def row(fault: Fault, cell: Cell) -> str:
    return f"| {fault} | {cell.refreshed} | {'<br>'.join(f'`{_cell(line)}`' for line in cell.says)} |"


def _cell(line: str) -> str:
    return line.replace("`", "'").replace("|", "\\|")


def documented(page: str, kind: str) -> str:
    """Return the table of a kind in the page."""
    found = re.search(rf"^\| {kind} \| refreshed .*\n(?:\|.*\n)*", page, re.M)
    return found[0].rstrip() if found else ""


def _main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for kind in TROUBLES:
        cells: dict[Fault, Cell] = {}
        for fault in FAULTS:
            with tempfile.TemporaryDirectory(prefix="outages-", ignore_cleanup_errors=True) as home:
                cells[fault] = cell_of(kind, fault, Path(home))
        page = page.replace(documented(page, kind), table(kind, cells))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    _main()
